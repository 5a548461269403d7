"""``vm exec`` where the guest's ssh starts nothing: its agent does, and that is said."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scripted.ssh_sessions import Guest
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def agent(**answer: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An agent whose program announces a start, unless told otherwise."""

    def run(asked: dict[str, Any]) -> dict[str, Any]:
        token = asked["text"].partition("token=")[2].partition(" ")[0].encode()
        start = b"\0" + token + b" " + answer.get("word", b"42") + b"\n"
        return {"status": answer.get("status", 0), "stdout": b"out\n", "stderr": start + b"err\n"}

    return run


@pytest.fixture
def broken(cli: Cli) -> None:
    """No master, and an ssh that reaches nothing."""
    (cli.root / "bin/ssh").unlink()
    (cli.root / "bin/ssh").write_text("#!/bin/sh\nexit 255\n")
    (cli.root / "bin/ssh").chmod(0o755)


def services(peer: Begin, **answer: Any) -> Peer:
    web = dict.fromkeys(("vm.access", "vm.show"), lambda _: view("web"))
    return peer(web | {"vm.exec": agent(**answer)})


@pytest.mark.usefixtures("broken")
def test_the_agent_runs_a_command_that_ssh_did_not_start(cli: Cli, peer: Begin) -> None:
    asked = services(peer, status=42)
    ran = cli("vm", "exec", "web", "-e", "A=1", "--", "cat", "a b", stdin=b"in")
    assert (ran.status, ran.out) == (42, "out\n")
    said, errors = ran.err.splitlines()
    assert said.startswith("web's sshd does not answer on 127.77.0.2 port 22; running")
    assert errors == "err"
    body = asked.calls[-1][1]
    assert body["stdin"] == b"in"
    assert "set -- cat 'a b'" in body["text"]


@pytest.mark.usefixtures("broken")
def test_its_input_is_limited(cli: Cli, peer: Begin) -> None:
    services(peer)
    ran = cli("vm", "exec", "web", "--", "cat", stdin=b"x" * (300 << 10))
    assert ran.status == 2
    assert "at most 256 KiB of standard input" in ran.err


@pytest.mark.usefixtures("broken")
def test_an_unknown_user_is_not_found_there_too(cli: Cli, peer: Begin) -> None:
    services(peer, word=b"no-user", status=3)
    assert cli("vm", "exec", "-u", "eve", "web", "--", "true").status == 3


@pytest.mark.usefixtures("broken")
def test_a_terminal_is_the_consoles(cli: Cli, peer: Begin) -> None:
    services(peer)
    ran = cli("vm", "exec", "-t", "web", "--", "true")
    assert ran.status == 6
    assert "hint: see its console: banger vm console web" in ran.err


@pytest.fixture
def nologin(cli: Cli, guest: Guest) -> None:
    shell = cli.root / "nologin"
    shell.write_text("#!/bin/sh\necho not available >&2\nexit 1\n")
    shell.chmod(0o755)
    guest.shell = str(shell)


@pytest.mark.usefixtures("nologin")
def test_a_login_shell_that_runs_nothing_is_such_a_case(cli: Cli, peer: Begin) -> None:
    services(peer)
    ran = cli("vm", "exec", "-n", "web", "--", "true")
    assert (ran.status, ran.out) == (0, "out\n")
    assert ran.err.startswith("ssh starts no command in web: not available; running")


@pytest.mark.usefixtures("nologin")
def test_nothing_runs_on_what_is_left_of_an_input(cli: Cli, peer: Begin) -> None:
    """ssh had opened the session, so it may have read the beginning."""
    asked = services(peer)
    ran = cli("vm", "exec", "web", "--", "cat", stdin=b"in")
    assert (ran.status, ran.out) == (6, "")
    assert "or use -n" in ran.err
    assert "vm.exec" not in asked.verbs()


def test_a_command_that_is_ended_before_ssh_answers_is_not_run(
    cli: Cli, peer: Begin, tmp_path: Path
) -> None:
    asked = services(peer)
    (cli.root / "bin/ssh").unlink()
    (cli.root / "bin/ssh").write_text(
        f"#!/bin/sh\necho up >{tmp_path}/up\nread x <{tmp_path}/end\nexit 255\n"
    )
    (cli.root / "bin/ssh").chmod(0o755)
    os.mkfifo(tmp_path / "up")
    os.mkfifo(tmp_path / "end")
    process = cli.popen("vm", "exec", "web", "--", "true")
    assert (tmp_path / "up").read_text() == "up\n"
    process.terminate()
    (tmp_path / "end").write_text("\n")
    assert process.wait(timeout=50) == 128 + signal.SIGTERM
    assert "vm.exec" not in asked.verbs()


def test_a_command_that_had_started_is_not_run_twice(cli: Cli, peer: Begin, guest: Guest) -> None:
    asked = services(peer)
    process = cli.popen("vm", "exec", "web", "--", "sh", "-c", "echo up; read x", stdin=-1,
                        stdout=-1, stderr=-1)  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    guest.lose()
    _, err = process.communicate(timeout=50)
    assert process.returncode == 125
    assert b"the connection to web was lost while the command ran" in err
    assert "vm.exec" not in asked.verbs()
