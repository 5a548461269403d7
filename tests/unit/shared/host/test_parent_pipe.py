"""The pipe that ends when the parent does."""

import os
import select

import pytest

from shared.host import parent_pipe


def test_child_is_given_the_read_end_once_and_its_children_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = parent_pipe.create()
    os.set_inheritable(read, True)  # as pass_fds leaves it in a child
    monkeypatch.setenv(parent_pipe.VARIABLE, str(read))
    assert parent_pipe.inherited() == read
    assert not os.get_inheritable(read)
    assert parent_pipe.inherited() is None
    for fd in (read, write):
        os.close(fd)


@pytest.mark.parametrize("value", ["", "x", "-1"])
def test_no_number_is_no_pipe(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(parent_pipe.VARIABLE, value)
    assert parent_pipe.inherited() is None


def test_closing_the_write_end_is_seen_at_the_read_end() -> None:
    read, write = parent_pipe.create()
    assert select.select([read], [], [], 0)[0] == []
    os.close(write)
    assert select.select([read], [], [], 0)[0] == [read]
    assert os.read(read, 1) == b""
    os.close(read)
