"""``banger ssh-proxy NAME.vm``: what ssh calls to reach a VM; see ``ssh_config.py``.

OpenSSH with ProxyUseFdpass gives one Unix socket as stdin and stdout. The command passes the
connection to the VM through it and exits, so the session does not go through this process. Other
programs give pipes: then the bytes go through, until both sides have ended.
"""

import array
import os
import socket
import stat
import sys
from contextlib import suppress

import click

from shared.contract.messages.vm import Vm
from shared.contract.ssh_access import Access
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths

CONNECT_SECONDS = 15.0
SUFFIX = ".vm"
CHUNK = 1 << 16


@click.command("ssh-proxy", hidden=True)
@click.argument("name")
def ssh_proxy(name: str) -> None:
    """Connect to the ssh server of a VM, for the calling ssh.

    NAME is the exact name or id of a VM, and .vm.

    \b
    Example, as ssh_config(5) has it:
      ProxyCommand banger ssh-proxy '%h'
      ProxyUseFdpass yes
    """
    from cli.client.connection import ask
    from cli.client.first_words import FirstWords
    from cli.guest.session import access_of

    if sys.stdin.isatty() or sys.stdout.isatty():
        raise BangerError(
            Code.USAGE,
            "ssh-proxy must be called by ssh",
            hint="set it up: banger ssh-config --install",
        )
    view = ask(api.VM_ACCESS(ref=name.removesuffix(SUFFIX)), on_partial=FirstWords())
    if name not in (f"{view.vm.name}{SUFFIX}", f"{view.vm.id}{SUFFIX}"):
        raise BangerError(
            Code.NOT_FOUND, f"there is no VM called {name}", hint="list VMs: banger vm list"
        )
    access = access_of(view)
    _pin(view.vm, access)
    with _connected(name, access.host, access.port) as connection:
        if _one_socket():
            _hand_over(connection)
        else:
            _pipe(connection)


def _pin(vm: Vm, access: Access) -> None:
    """Write the host key of a VM that an older version started, before ssh looks for it."""
    from pathlib import Path

    from shared.vm import known_hosts

    path = Paths.from_environment().known_hosts
    if not known_hosts.pinned(path, f"{vm.name}{SUFFIX}"):
        line = Path(access.known_hosts).read_text().strip()
        names = known_hosts.names_of(vm.id, vm.name, access.host, access.port)
        known_hosts.pin(path, names, line.partition(" ")[2])


def _connected(name: str, host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} does not answer on {host} port {port}: {error.strerror or error}",
            hint=f"check it: banger vm health {name.removesuffix(SUFFIX)}",
        ) from None


def _one_socket() -> bool:
    """Whether stdin and stdout are one Unix socket, as OpenSSH makes it for ProxyUseFdpass."""
    one, other = os.fstat(0), os.fstat(1)
    return stat.S_ISSOCK(other.st_mode) and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _hand_over(connection: socket.socket) -> None:
    connection.setblocking(True)
    descriptors = array.array("i", [connection.fileno()])
    with socket.socket(fileno=sys.stdout.fileno()) as caller:
        try:
            caller.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        finally:
            caller.detach()


def _pipe(connection: socket.socket) -> None:
    """Carry bytes until the guest has ended the connection, or nobody takes what it sends.

    A thread for each direction: neither waits for the other, however full it is.
    """
    from threading import Thread

    connection.setblocking(True)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    Thread(target=_feed, args=(connection,), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionError):
        while data := connection.recv(CHUNK):
            _write(data)


def _feed(connection: socket.socket) -> None:
    with suppress(OSError):
        while data := os.read(0, CHUNK):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
