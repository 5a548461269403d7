"""Commands in a guest as files, over real sessions with this machine as the guest."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from services.workspaces.guest.session import GuestSession, run_script, script_argv
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from tests.scripted.ssh_sessions import Guest, Server


@pytest.fixture
def machine() -> Iterator[Guest]:
    made = Guest()
    yield made
    made.close()


@pytest.fixture
def access(machine: Guest) -> Iterator[Access]:
    with TemporaryDirectory(prefix="bngr") as directory:
        made = Access("h", 22, "/k", "/h", "id", f"{directory}/control")
        server = Server(made.control, machine)
        yield made
        server.close()


def test_a_script_gets_words_and_bytes_and_gives_a_status(access: Access) -> None:
    script = 'printf "%s|" "$@"; cat; echo "git: no" >&2; exit 7'
    output = run_script(access, script, ["a b", "c\nd", ""], stdin=b"\0bytes")
    assert output.status == 7
    assert output.stdout == b"a b|c\nd||\0bytes"
    assert output.stderr == ["git: no"]


def test_a_script_that_reads_nothing_is_no_error(access: Access) -> None:
    assert run_script(access, "exec <&-; exit 4", stdin=bytes(3_000_000)).status == 4


def test_an_answer_has_a_limit(access: Access) -> None:
    with pytest.raises(BangerError, match="longer") as caught:
        run_script(access, "head -c 100 /dev/zero", limit=99)
    assert caught.value.code is Code.GUEST_FAILED
    assert run_script(access, "head -c 99 /dev/zero", limit=99).stdout == bytes(99)


def test_a_session_is_a_dialogue(access: Access) -> None:
    with GuestSession(access, script_argv('read -r a; echo "got $a"; cat', [])) as session:
        session.stdin.write(b"word\n")
        assert session.line() == b"got word"
        session.stdin.write(b"rest")
        session.stdin.close()
        assert session.stdout.read() == b"rest"
        assert session.finish() == 0


def test_a_line_has_a_limit(access: Access) -> None:
    with (
        GuestSession(access, script_argv("exec yes '' | tr -d '\\n' </dev/zero", [])) as session,
        pytest.raises(BangerError, match="longer"),
    ):
        session.line(1000)


def test_a_command_that_reads_no_more_breaks_the_pipe(access: Access) -> None:
    with GuestSession(access, script_argv("exec <&-; echo no >&2; exit 9", [])) as session:
        with pytest.raises(BrokenPipeError):
            session.stdin.write(bytes(8 << 20))
        assert session.finish() == 9
        assert session.complaints() == ["no"]


def test_a_connection_that_ends_is_lost(access: Access, machine: Guest) -> None:
    with GuestSession(access, script_argv("echo x; exec sleep 30", [])) as session:
        assert session.line() == b"x"
        machine.lose()
        with pytest.raises(BangerError) as caught:
            session.finish()
    assert caught.value.code is Code.LOST


def test_a_guest_that_is_gone_is_unavailable(access: Access, machine: Guest) -> None:
    machine.lose()
    with pytest.raises(BangerError) as caught:
        run_script(access, "true")
    assert caught.value.code is Code.UNAVAILABLE


def test_a_mute_guest_is_a_timeout(access: Access) -> None:
    argv = script_argv("exec sleep 30", [])
    with (
        GuestSession(access, argv, idle_seconds=0.2) as session,
        pytest.raises(BangerError) as caught,
    ):
        session.finish()
    assert caught.value.code is Code.TIMEOUT
