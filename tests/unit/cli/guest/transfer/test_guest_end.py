"""The two streams of a session, with limits."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.guest.transfer import guest_end
from cli.guest.transfer.guest_end import GuestEnd, printable
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from tests.home import REPOSITORY

ACCESS = Access("h", 22, "/k", "/h", "id", "/c")


@pytest.fixture(autouse=True)
def scripted_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ssh").symlink_to(REPOSITORY / "tests/scripted/ssh")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def guest(script: str) -> GuestEnd:
    return GuestEnd(ACCESS, ["sh", "-c", script])


def test_bytes_go_both_ways_while_the_guest_complains() -> None:
    noise = "head -c 300000 /dev/zero | tr '\\0' x >&2"
    with guest(f"read -r line; {noise}; echo got $line; cat >/dev/null; exit 3") as end:
        assert end.write(b"word\n")
        assert end.line(100) == b"got word"
        assert end.write(b"y" * 3_000_000)
        end.close_input()
        assert end.finish() == 3
        assert len("".join(end.complaints())) == guest_end.SAID_LIMIT


def test_a_guest_that_takes_no_more_is_no_error() -> None:
    with guest("exec <&-; echo ready; sleep 0.01; exit 5") as end:
        assert end.line(10) == b"ready"
        while end.write(b"z" * 100_000):
            pass
        assert end.finish() == 5


ACTS: dict[str, Callable[[GuestEnd], object]] = {
    "read": lambda end: end.read(1),
    "write": lambda end: end.write(bytes(5_000_000)),
    "finish": GuestEnd.finish,
}


@pytest.mark.parametrize("act", ACTS)
def test_a_mute_guest_is_a_timeout(monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    monkeypatch.setattr(guest_end, "IDLE_SECONDS", 0.3)
    began = time.monotonic()
    with guest("exec sleep 30") as end, pytest.raises(BangerError) as caught:
        ACTS[act](end)
    assert caught.value.code == Code.TIMEOUT
    assert time.monotonic() - began < 10


def test_a_guest_that_never_stops_sending_is_ended() -> None:
    with guest("exec yes") as end, pytest.raises(BangerError) as caught:
        end.finish()
    assert caught.value.code == Code.GUEST_FAILED


def test_what_a_guest_says_is_clean() -> None:
    assert printable("a\x1b[31mb\x9b") == "a?[31mb?"
    with guest("printf 'tar: x\\033]52;: No space\\n' >&2; exit 2") as end:
        end.close_input()
        assert end.finish() == 2
        assert end.complaints() == ["x?]52;: No space"]


def test_without_ssh_the_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BangerError) as caught:
        guest("true")
    assert caught.value.code == Code.MISSING_TOOL
