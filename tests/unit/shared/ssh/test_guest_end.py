"""The two streams of a session, with limits."""

import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import pytest

from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.ssh import guest_end
from shared.ssh.guest_end import GuestEnd
from tests.scripted.ssh_sessions import Guest, Server

Begin = Callable[[str], GuestEnd]


@pytest.fixture
def machine() -> Iterator[Guest]:
    made = Guest()
    yield made
    made.close()


@pytest.fixture
def begin(machine: Guest) -> Iterator[Begin]:
    """Start a shell script in the guest."""
    with TemporaryDirectory(prefix="bngr") as directory:
        access = Access("h", 22, "/k", "/h", "id", f"{directory}/control")
        server = Server(access.control, machine)
        yield lambda script: GuestEnd(access, ["sh", "-c", script])
        server.close()


def test_bytes_go_both_ways_while_the_guest_complains(begin: Begin) -> None:
    noise = "head -c 300000 /dev/zero | tr '\\0' x >&2"
    with begin(f"read -r line; {noise}; echo got $line; cat >/dev/null; exit 3") as end:
        assert end.write(b"word\n")
        assert end.line(100) == b"got word"
        assert end.write(b"y" * 3_000_000)
        end.close_input()
        assert end.finish() == 3
        assert len("".join(end.complaints())) == guest_end.SAID_LIMIT


def test_a_guest_that_takes_no_more_is_no_error(begin: Begin) -> None:
    with begin("exec <&-; echo ready; sleep 0.01; exit 5") as end:
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
def test_a_mute_guest_is_a_timeout(begin: Begin, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    monkeypatch.setattr(guest_end, "IDLE_SECONDS", 0.3)
    began = time.monotonic()
    with begin("exec sleep 30") as end, pytest.raises(BangerError) as caught:
        ACTS[act](end)
    assert caught.value.code == Code.TIMEOUT
    assert time.monotonic() - began < 10


def test_a_guest_that_never_stops_sending_is_ended(begin: Begin) -> None:
    with begin("exec yes") as end, pytest.raises(BangerError) as caught:
        end.finish()
    assert caught.value.code == Code.GUEST_FAILED


def test_what_a_guest_says_is_clean(begin: Begin) -> None:
    with begin("printf 'tar: x\\033]52;: No space\\n' >&2; exit 2") as end:
        end.close_input()
        assert end.finish() == 2
        assert end.complaints() == ["x\N{REPLACEMENT CHARACTER}]52;: No space"]


def test_a_connection_that_is_lost_is_told_apart(machine: Guest, begin: Begin) -> None:
    with begin("echo ready; exec sleep 30") as end:
        assert end.line(10) == b"ready"
        machine.lose()
        with pytest.raises(BangerError) as caught:
            end.finish()
    assert caught.value.code == Code.LOST


def test_a_login_shell_that_starts_nothing_is_quoted(machine: Guest, begin: Begin) -> None:
    shell = machine.program.with_name("nologin")
    shell.write_text("#!/bin/sh\necho 'This account is not available.' >&2; exit 1\n")
    shell.chmod(0o755)
    machine.shell = str(shell)
    with begin("true") as end, pytest.raises(BangerError, match="not available") as caught:
        end.finish()
    assert (caught.value.code, caught.value.details["started"]) == (Code.UNAVAILABLE, False)


def test_a_guest_that_is_gone_is_unavailable(begin: Begin, machine: Guest) -> None:
    machine.lose()
    with pytest.raises(BangerError) as caught:
        begin("true")
    assert caught.value.code == Code.UNAVAILABLE
