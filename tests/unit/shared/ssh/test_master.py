"""The shared connection: joined, or opened again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.guest.streams import Streams
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.ssh import master
from shared.ssh.master import connected
from tests.scripted.ssh_sessions import Guest, Server


@pytest.fixture
def access(tmp_path_factory: pytest.TempPathFactory) -> Access:
    directory = tmp_path_factory.mktemp("m")
    return Access("127.0.0.1", 1, "/k", "/h", "0123456789ab", str(directory / "s"))


@contextmanager
def streams() -> Iterator[Streams]:
    made = Streams(stdin=False)
    try:
        yield made
    finally:
        made.close()


def scripted_ssh(access: Access, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    directory = Path(access.control).parent
    ssh = directory / "ssh"
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_a_connection_that_is_there_is_joined(access: Access) -> None:
    guest = Guest()
    server = Server(access.control, guest)
    with streams() as given:
        session = connected(access, "true", [], given.of_session, terminal=False)
        while not session.ended:
            session.receive()
            time.sleep(0)
        assert session.status == 0
        session.close()
    server.close()
    guest.close()


def test_one_that_is_lost_is_opened_again(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an ssh whose exit says that the socket serves; here the test serves it."""
    Path(access.control).write_text("what a killed master leaves")
    scripted_ssh(access, monkeypatch, f"mv {access.control}.new {access.control}")
    guest = Guest()
    server = Server(f"{access.control}.new", guest)
    with streams() as given:
        connected(access, "true", [], given.of_session, terminal=False).close()
    server.close()
    guest.close()


def test_one_that_another_command_has_opened_meanwhile_is_kept(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has waited for the lock would orphan the ssh of the one before."""
    scripted_ssh(access, monkeypatch, f"touch {access.control}.again")
    guest = Guest()
    server = Server(access.control, guest)
    master.open_again(access)
    assert Path(access.control).is_socket()
    assert not Path(f"{access.control}.again").exists()
    server.close()
    guest.close()


def test_a_guest_without_sshd_is_unavailable_and_nothing_started(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_ssh(access, monkeypatch, "exit 255")
    with streams() as given, pytest.raises(BangerError) as raised:
        connected(access, "true", [], given.of_session, terminal=False)
    assert raised.value.code is Code.UNAVAILABLE
    assert raised.value.details == {"vm": access.alias, "started": False}


def test_an_attempt_without_an_answer_is_given_up(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ssh.master.OPEN_SECONDS", 0.2)
    scripted_ssh(access, monkeypatch, "exec sleep 99")
    with streams() as given, pytest.raises(BangerError, match="does not answer"):
        connected(access, "true", [], given.of_session, terminal=False)
    left = subprocess.run(["pgrep", "-f", "sleep 99$"], capture_output=True, check=False)
    assert left.returncode == 1
