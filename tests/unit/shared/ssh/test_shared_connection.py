"""One session of a shared connection, with this machine as the guest."""

import os
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.ssh.shared_connection import SharedSession, master_pid
from tests.scripted.ssh_sessions import Guest, Server


@pytest.fixture
def control(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("c") / "s")


@pytest.fixture
def guest(control: str) -> Iterator[Guest]:
    guest = Guest()
    server = Server(control, guest)
    yield guest
    server.close()
    guest.close()


def until_ended(session: SharedSession) -> SharedSession:
    while not session.ended:
        assert select.select([session], [], [], 50)[0]
        session.receive()
    session.close()
    return session


def test_a_command_gets_descriptors_and_variables(control: str, guest: Guest) -> None:
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    command = "echo $A; exit 255"
    session = SharedSession(control, command, [b"A=\xc3\xa4"], (null, write, null))
    for fd in (write, null):
        os.close(fd)
    assert until_ended(session).status == 255
    assert session.opened
    assert os.read(read, 99) == b"\xc3\xa4\n"
    os.close(read)


def test_a_connection_that_is_lost_gives_no_status(control: str, guest: Guest) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    session = SharedSession(control, "kill -9 $$", [], (null, null, null))
    os.close(null)
    assert until_ended(session).status is None


def test_a_refusal_is_kept(control: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(control)
        listener.listen()
        null = os.open(os.devnull, os.O_RDWR)
        session = SharedSession(control, "true", [], (null, null, null))
        os.close(null)
        master, _ = listener.accept()
        reason = b"Session open refused by peer"
        words = struct.pack(">III", 0x80000003, 0, len(reason)) + reason
        with master:
            master.sendall(struct.pack(">I", len(words)) + words)
            assert until_ended(session).refusal == reason.decode()


def test_nonsense_ends_the_session(control: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(control)
        listener.listen()
        null = os.open(os.devnull, os.O_RDWR)
        session = SharedSession(control, "true", [], (null, null, null))
        os.close(null)
        master, _ = listener.accept()
        with master:
            master.sendall(b"\xff" * (1 << 16))
            master.shutdown(socket.SHUT_WR)
            assert until_ended(session).status is None


def test_the_master_says_who_it_is(control: str, guest: Guest) -> None:
    assert master_pid(control) == os.getpid()
    assert master_pid(str(Path(control).with_name("none"))) is None
