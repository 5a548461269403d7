"""The shared connection of ssh(1): ``-fN`` with ControlMaster=yes, and ``-O check|exit``.

The master connects to where the guest's sshd would be (the scripted QEMU listens there), goes to
the background when its control socket serves, and ends with the connection or when told to.
"""

import os
import select
import signal
import socket
import sys
import threading
from itertools import pairwise
from pathlib import Path

from tests.scripted.ssh_sessions import Guest, serve

LIFETIME = 600
"""Seconds after which SIGALRM ends one that a broken test left behind."""
REFUSED = 255


def main(argv: list[str]) -> int:
    words = dict(pairwise(argv))
    options = dict(word.split("=", 1) for word in argv if "=" in word)
    control = Path(options["ControlPath"].strip('"'))
    if "-O" in argv:
        return _request(control, words["-O"])
    address = (argv[-1].rpartition("@")[2], int(words["-p"]))
    try:
        connection = socket.create_connection(address, 10)
    except OSError as error:
        with open(words["-E"], "a") as log:
            log.write(f"ssh: connect to host {address[0]} port {address[1]}: {error.strerror}\n")
        return REFUSED
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(control))
    listener.listen()
    if os.fork():
        return 0  # the caller's event: sessions can use the socket
    signal.alarm(LIFETIME)
    os.setsid()
    _serve(connection, listener)
    control.unlink(missing_ok=True)
    os._exit(0)  # at once, as ssh does: who finds no socket takes it that the master has ended


def _serve(connection: socket.socket, listener: socket.socket) -> None:
    guest = Guest()
    try:
        _serve_guest(connection, listener, guest)
    finally:
        guest.close()


def _serve_guest(connection: socket.socket, listener: socket.socket, guest: Guest) -> None:
    while True:
        ready, _, _ = select.select([connection, listener], [], [])
        if connection in ready:
            return  # the guest is gone
        client, _ = listener.accept()
        if client.recv(1, socket.MSG_PEEK) == b"\0":  # the length of a hello
            threading.Thread(target=serve, args=(client, guest), daemon=True).start()
            continue
        with client:
            asked = client.recv(64)
            client.sendall(str(os.getpid()).encode())
            if asked == b"exit":
                return


def _request(control: Path, command: str) -> int:
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(str(control))
    except OSError as error:
        sys.stderr.write(f"Control socket connect({control}): {error.strerror}\r\n")
        return REFUSED
    client.sendall(command.encode())
    pid = client.recv(64).decode()
    running = f"Master running (pid={pid})"
    sys.stderr.write(f"{running if command == 'check' else 'Exit request sent.'}\r\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
