"""Pipes, wider or as wide as they may be."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from services.images.oci.flatten.pipe import widen


@pytest.fixture
def writer() -> Iterator[int]:
    reader, end = os.pipe()
    yield end
    os.close(reader)
    os.close(end)


def test_a_pipe_holds_more(writer: int) -> None:
    widen(writer, 1 << 18)
    assert fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) == 1 << 18


def test_a_user_with_too_many_wide_pipes_gets_an_ordinary_one(
    writer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> int:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    widen(writer, 1 << 18)
