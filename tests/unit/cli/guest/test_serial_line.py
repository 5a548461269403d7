"""The two forms of a serial console, with their other ends in the test."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from cli.guest.serial_line import open_line
from shared.errors import BangerError, Code
from shared.vm import files


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def test_a_socket_carries_both_directions(run: Path) -> None:
    with (
        socket.create_server(str(run / files.CONSOLE_SOCKET), family=socket.AF_UNIX) as server,
        closing(open_line("web", "socket", run, run / "log")) as line,
    ):
        guest, _ = server.accept()
        assert line.receive() == b"", "nothing yet"
        assert line.send(b"root\n") == 5
        assert guest.recv(64) == b"root\n"
        guest.sendall(b"login: ")
        assert line.receive() == b"login: "
        guest.close()
        with pytest.raises(ConnectionError):
            line.receive()


@pytest.fixture
def log(run: Path) -> Path:
    os.mkfifo(run / files.CONSOLE_INPUT)
    log = run / files.CONSOLE_LOG
    log.write_bytes(b"before")
    return log


def test_a_fifo_takes_the_keys_and_the_log_grows(run: Path, log: Path) -> None:
    keys = os.open(run / files.CONSOLE_INPUT, os.O_RDWR)
    with closing(open_line("web", "fifo", run, log)) as line:
        assert line.look_every, "a file that grows wakes nobody"
        assert line.receive() == b"", "what was printed before is left out"
        line.send(b"root\n")
        assert os.read(keys, 64) == b"root\n"
        with log.open("ab") as end:
            end.write(b"login: ")
        assert line.receive() == b"login: "
        os.close(keys)
        with pytest.raises(ConnectionError):
            line.receive()


def test_a_fifo_that_nobody_reads_is_no_console(run: Path, log: Path) -> None:
    with pytest.raises(BangerError, match="web has no console") as raised:
        open_line("web", "fifo", run, log)
    assert raised.value.code is Code.UNAVAILABLE


def test_without_a_socket_there_is_no_console(run: Path) -> None:
    with pytest.raises(BangerError, match="web has no console") as raised:
        open_line("web", "socket", run, run / "log")
    assert raised.value.code is Code.UNAVAILABLE
