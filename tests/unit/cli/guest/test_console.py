"""``vm console``: keys to the guest, its words to us, and the terminal as it was before."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from shared.host.locks import Lock
from shared.vm import files
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
VM_ID = "0123456789ab"


class Firecracker:
    """A guest whose line is a FIFO and a file; prints what was typed in capitals."""

    def __init__(self, cli: Cli) -> None:
        run, self._log = cli.paths.vm_run(VM_ID), cli.paths.vm_state(VM_ID) / files.CONSOLE_LOG
        for directory in (run, self._log.parent):
            directory.mkdir(parents=True)
        os.mkfifo(run / files.CONSOLE_INPUT)
        self._log.write_text("before\n")
        self._keys = os.open(run / files.CONSOLE_INPUT, os.O_RDWR)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        typed = b""
        while not typed.endswith(b"\n"):
            typed += os.read(self._keys, 4096)
        if typed == b"\n":
            return  # nobody came
        with self._log.open("ab") as log:
            log.write(typed.upper())
        if typed == b"poweroff\n":
            os.close(self._keys)

    def view(self) -> dict[str, Any]:
        return view("web") | {"console_log": str(self._log), "running_vmm": "firecracker"}

    def close(self) -> None:
        if self._thread.is_alive():
            os.write(self._keys, b"\n")
            self._thread.join(50)
        with suppress(OSError):
            os.close(self._keys)


class Guest:
    """The other end of the serial line: greets, and answers each piece with itself in capitals."""

    def __init__(self, cli: Cli) -> None:
        directory = cli.paths.vm_run(VM_ID)
        directory.mkdir(parents=True)
        self.heard = b""
        self._server = socket.create_server(
            str(directory / files.CONSOLE_SOCKET), family=socket.AF_UNIX
        )
        self._server.settimeout(50)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._server.accept()
        with client, suppress(ConnectionError):
            client.sendall(b"login: ")
            while typed := client.recv(4096):
                self.heard += typed
                client.sendall(typed.upper())
                if typed.endswith(b"poweroff\n"):
                    return

    def close(self) -> bytes:
        """What was typed, all of it."""
        with self._server:
            if self._thread.is_alive():
                with socket.socket(socket.AF_UNIX) as last, suppress(OSError):
                    last.connect(self._server.getsockname())
            self._thread.join(50)
        return self.heard


@pytest.fixture
def guest(cli: Cli, peer: Begin) -> Iterator[Guest]:
    peer(dict.fromkeys(("vm.show", "vm.access"), lambda _: view("web")))
    guest = Guest(cli)
    yield guest
    guest.close()


def test_piped_input_goes_in_and_what_is_answered_comes_out(cli: Cli, guest: Guest) -> None:
    ran = cli("vm", "console", "web", stdin=b"root\x1d\n")
    assert (ran.status, ran.out) == (0, "login: ROOT\x1d\n")
    assert ran.err == ""


def test_the_end_of_the_vm_ends_it(cli: Cli, guest: Guest) -> None:
    process = cli.popen("vm", "console", "web", stdin=-1, stdout=-1)
    assert process.stdin
    process.stdin.write(b"poweroff\n")
    process.stdin.flush()
    assert process.wait(50) == 0


def test_on_a_terminal_every_key_goes_in_but_the_one_that_detaches(cli: Cli, guest: Guest) -> None:
    ran = cli.on_terminal(
        ["vm", "console", "web"], [(b"login: ", b"a\x03\x1a\r"), (b"A\x03\x1a\r", b"\x1d")]
    )
    assert ran.status == 0
    assert "Attached to the console of web. Press Ctrl-] to detach." in ran.out
    assert ran.out.endswith("Detached.\r\n")  # \r: the terminal is in its own mode again
    assert guest.close() == b"a\x03\x1a\r"


def test_a_signal_ends_it_with_its_status(cli: Cli, guest: Guest) -> None:
    process = cli.popen("vm", "console", "web", stdin=-1, stdout=-1)
    assert process.stdout
    assert process.stdout.read(7) == b"login: "
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 128 + signal.SIGTERM


@pytest.fixture
def firecracker(cli: Cli, peer: Begin) -> Iterator[Firecracker]:
    made: list[Firecracker] = []
    peer(dict.fromkeys(("vm.show", "vm.access"), lambda _: made[0].view()))
    made.append(Firecracker(cli))
    yield made[0]
    made[0].close()


def test_a_fifo_takes_the_keys_and_the_log_gives_the_words(
    cli: Cli, firecracker: Firecracker
) -> None:
    ran = cli("vm", "console", "web", stdin=b"root\n")
    assert (ran.status, ran.out) == (0, "ROOT\n"), "and nothing of what was printed before"


def test_a_fifo_that_nobody_reads_any_more_is_the_end_of_the_vm(
    cli: Cli, firecracker: Firecracker
) -> None:
    process = cli.popen("vm", "console", "web", stdin=-1, stdout=-1)
    assert process.stdin
    process.stdin.write(b"poweroff\n")
    process.stdin.flush()
    assert process.wait(50) == 0


def test_a_vm_without_a_line_is_named(cli: Cli, peer: Begin) -> None:
    peer(dict.fromkeys(("vm.show", "vm.access"), lambda _: view("web")))
    cli.paths.vm_run(VM_ID).mkdir(parents=True)
    ran = cli("vm", "console", "web")
    assert ran.status == 6
    assert "web has no console" in ran.err


def test_a_second_one_is_told_who_is_there(cli: Cli, guest: Guest) -> None:
    lock = Lock.try_acquire(cli.paths.vm_run(VM_ID) / files.CONSOLE_LOCK)
    assert lock
    ran = cli("vm", "console", "web")
    lock.release()
    assert ran.status == 6
    assert ran.err.startswith("error: the console of web is in use by process ")
