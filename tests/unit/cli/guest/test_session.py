"""Commands in a guest, with the guest's shell played by this machine's: see ``SCRIPTED_SSH``."""

import hashlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


@pytest.fixture
def web(peer: Begin) -> Peer:
    return peer({"vm.access": lambda _: view("web")})


@pytest.mark.parametrize("status", [0, 1, 42, 254, 255])
def test_the_exit_status_is_the_commands_own(cli: Cli, web: Peer, status: int) -> None:
    assert cli("vm", "exec", "web", "--", "sh", "-c", f"exit {status}").status == status


def test_a_command_ended_by_a_signal_gives_128_and_its_number(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "exec", "web", "--", "sh", "-c", "kill -KILL $$")
    assert (ran.status, ran.err) == (128 + signal.SIGKILL, "")


def test_words_reach_the_guest_as_they_are(cli: Cli, web: Peer) -> None:
    words = ["a  b", "$HOME", "'", '"', "*", "", "new\nline", "--", "-x"]
    ran = cli("vm", "exec", "web", "--", "printf", "<%s>", *words)
    assert ran.out == "".join(f"<{word}>" for word in words)


def test_directory_and_variables_are_the_commands(cli: Cli, web: Peer) -> None:
    script = 'pwd; echo "$A|$B"'
    ran = cli(
        "vm", "exec", "web", "-w", "/usr", "-e", "A=1 2", "-e", "B=", "--", "sh", "-c", script
    )
    assert ran.out == "/usr\n1 2|\n"


def test_a_directory_that_is_not_there_gives_126(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "exec", "web", "-w", "/no/such/place", "--", "echo", "here")
    assert (ran.status, ran.out) == (126, "")
    assert "/no/such/place" in ran.err


def test_a_program_that_is_not_there_gives_127_and_says_so(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "exec", "web", "--", "no-such-program")
    assert ran.status == 127
    assert "no-such-program" in ran.err


def test_the_three_streams_are_kept_apart_and_whole(cli: Cli, web: Peer) -> None:
    sent = os.urandom(1 << 20) * 16
    process = cli.popen(
        "vm", "exec", "web", "--", "sh", "-c", "cat; echo done >&2", stdin=-1, stdout=-1, stderr=-1
    )
    out, err = process.communicate(sent, timeout=50)
    assert hashlib.sha256(out).digest() == hashlib.sha256(sent).digest()
    assert err == b"done\n"


STUBBORN = r"""
import os, signal, sys
# Not print: the signal may come while "up" is being printed.
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"no\n"))
print("up", flush=True)
sys.stdin.read()
"""


TERMINATED_SSH = """#!/bin/sh
trap 'exit 255' TERM
echo up
while read -r line; do :; done
"""


def _started(cli: Cli, *argv: str) -> "subprocess.Popen[bytes]":
    process = cli.popen("vm", "exec", "web", "--", *argv, stdin=-1, stdout=-1)
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_carried_to_the_command_and_its_status_is_ours(
    cli: Cli, web: Peer, number: signal.Signals
) -> None:
    name = number.name.removeprefix("SIG")
    process = _started(
        cli, "sh", "-c", f"trap 'echo caught; exit 33' {name}; echo up; read x; read x"
    )
    process.send_signal(number)
    assert process.wait(50) == 33
    assert process.communicate()[0] == b"caught\n"


def test_a_command_that_the_signal_ends_leaves_nothing_running(cli: Cli, web: Peer) -> None:
    process = _started(cli, "sh", "-c", "echo up; exec cat")
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 128 + signal.SIGTERM
    assert process.communicate()[0] == b""  # the end of it: nobody holds the pipe any more


def test_the_third_signal_gives_up_waiting(cli: Cli, web: Peer) -> None:
    process = _started(cli, sys.executable, "-c", STUBBORN)
    assert process.stdout
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(50) == 128 + signal.SIGINT


def test_a_signal_that_ends_a_session_on_a_terminal_is_our_status(cli: Cli, web: Peer) -> None:
    """ssh(1) itself is ended there, and exits with 255 for want of the guest's status."""
    (cli.root / "bin/ssh").unlink()
    (cli.root / "bin/ssh").write_text(TERMINATED_SSH)
    (cli.root / "bin/ssh").chmod(0o755)
    ours, theirs = pty.openpty()
    process = cli.popen(
        *("vm", "ssh", "-t", "web"),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = b""
        while b"up" not in shown:
            shown += terminal.read(4096)
        process.send_signal(signal.SIGTERM)
        assert process.wait(50) == 128 + signal.SIGTERM
