"""Commands in a guest, with the guest's shell played by this machine."""

import hashlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripted.ssh_sessions import Guest
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer
from tests.waiting import eventually

Begin = Callable[..., Peer]


@pytest.fixture
def web(peer: Begin, cli: Cli, guest: Guest) -> Peer:
    answer = view("web")
    return peer(dict.fromkeys(("vm.access", "vm.show"), lambda _: answer))


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


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _alive(pid: int) -> bool:
    return bool(_file(pid, "cmdline"))  # a zombie's is empty


def _of(cli: Cli) -> set[int]:
    """The guest's processes."""
    mark = f"HOME={cli.root}\0".encode()
    return {pid for pid in _processes() if mark in _file(pid, "environ") and _alive(pid)}


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


def test_a_signal_that_ends_a_session_on_a_terminal_is_our_status(
    cli: Cli, web: Peer, guest: Guest
) -> None:
    guest.environment = guest.environment | {"PS1": "up "}
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


def test_the_guests_terminal_has_the_modes_that_ours_had(cli: Cli, web: Peer) -> None:
    """Ours is raw as soon as the session is open, and not before: they are read until then."""
    ran = cli.on_terminal(["vm", "exec", "web", "--", "stty", "-a"], [])
    assert ran.status == 0
    modes = ran.out.replace(";", " ").split()
    assert {"icanon", "onlcr", "isig"} <= {*modes}


def test_the_login_shells_start_up_files_and_syntax_do_not_matter(
    cli: Cli, web: Peer, guest: Guest
) -> None:
    """bash reads ~/.bashrc when sshd started it, where it was built so (SSH_SOURCE_BASHRC)."""
    script = '#!/bin/sh\n[ "$SHLVL" ] || { echo hello; exit 3; }\nexec $2\n'
    shell = cli.root / "shell"
    shell.write_text(script)
    shell.chmod(0o755)
    guest.shell = str(shell)
    ran = cli("vm", "exec", "web", "--", "sh", "-c", "echo here; exit 42")
    assert (ran.status, ran.out) == (42, "here\n")


def test_variables_are_in_no_argv(cli: Cli, web: Peer) -> None:
    cli.env["SECRET"] = "hush-hush"
    process = cli.popen(
        *("vm", "exec", "web", "-e", "SECRET", "--", "sh", "-c", "echo $SECRET; read x"),
        stdin=-1, stdout=-1,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == b"hush-hush\n"
    assert not [pid for pid in _processes() if b"hush-hush" in _file(pid, "cmdline")]
    assert process.stdin
    process.stdin.close()


def test_a_client_that_is_killed_takes_its_command_along(cli: Cli, web: Peer) -> None:
    process = _started(cli, "sh", "-c", "echo up; echo $$ >pid; sleep 999 & wait")
    eventually(lambda: (cli.root / "pid").exists() and (cli.root / "pid").read_text())
    pid = int((cli.root / "pid").read_text())
    process.kill()
    eventually(lambda: not _alive(pid), patience=20)


def test_what_made_itself_a_daemon_survives_its_client(cli: Cli, web: Peer) -> None:
    script = (
        "setsid sh -c 'echo $$ >daemon; exec sleep 60' >/dev/null 2>&1 </dev/null & echo up; cat"
    )
    process = _started(cli, "sh", "-c", script)
    pid = int(eventually(lambda: (cli.root / "daemon").exists()
                         and (cli.root / "daemon").read_text()))  # fmt: skip
    process.kill()
    process.wait(50)
    eventually(lambda: _of(cli) == {pid}, patience=20)
    os.kill(pid, signal.SIGKILL)


def test_a_guest_that_is_mute_does_not_keep_a_signal_from_ending_the_client(
    cli: Cli, web: Peer, guest: Guest
) -> None:
    process = _started(cli, "sh", "-c", "trap '' TERM; echo up; read x")
    guest.mute = True
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 2.5


def test_a_signal_before_there_is_a_session_ends_the_client(
    cli: Cli, web: Peer, guest: Guest
) -> None:
    guest.mute = True
    process = cli.popen("vm", "exec", "web", "--", "true", stdin=-1, stdout=-1)
    assert guest.asked.wait(50)
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 128 + signal.SIGTERM


def test_the_end_of_the_vm_is_told_from_the_commands_own_255(
    cli: Cli, peer: Begin, guest: Guest
) -> None:
    views = [view("web")]
    peer(dict.fromkeys(("vm.access", "vm.show"), lambda _: views[-1]))
    process = cli.popen(
        "vm", "exec", "web", "--", "sh", "-c", "echo up; read x", stdin=-1, stdout=-1, stderr=-1
    )
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    views.append(view("web", state="stopped"))
    guest.lose()
    _, err = process.communicate(timeout=50)
    assert (process.returncode, err) == (125, b"error: web was stopped while the command ran\n")


def test_stdout_of_others_stays_blocking(cli: Cli, web: Peer) -> None:
    read, write = os.pipe()
    process = cli.popen("vm", "exec", "web", "--", "sh", "-c", "echo up; cat", stdin=-1,
                        stdout=write)  # fmt: skip
    assert os.read(read, 3) == b"up\n"
    assert os.get_blocking(write)
    assert process.stdin
    process.stdin.close()
    assert process.wait(50) == 0
    for fd in (read, write):
        os.close(fd)


def test_an_unknown_user_of_the_guest_is_not_found(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "exec", "-u", "no-such-user", "web", "--", "true")
    assert (ran.status, ran.err) == (3, "error: the guest has no user 'no-such-user'\n")


def test_stdin_is_left_to_others(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "exec", "-n", "web", "--", "cat", stdin=b"for the caller's loop\n")
    assert (ran.status, ran.out) == (0, "")


def test_more_words_than_fit_are_invalid(cli: Cli, web: Peer) -> None:
    half = "x" * (65 << 10)
    process = cli.popen("vm", "exec", "web", "--", "echo", half, half, stderr=-1)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 2
    assert b"at most 120 KiB reach a guest" in err
