"""``banger ssh-proxy NAME.vm``: what ssh calls to reach a VM; see ``ssh_config.py``.

With ProxyUseFdpass, stdout is a Unix socket. The command passes the connection to the VM through it
and exits, so the session does not go through this process.
"""

import array
import socket
import sys

import click

from shared.contract.verbs import api
from shared.errors import BangerError, Code

CONNECT_SECONDS = 15.0
SUFFIX = ".vm"


@click.command("ssh-proxy", hidden=True)
@click.argument("name")
def ssh_proxy(name: str) -> None:
    """Connect to the ssh server of a VM, and pass the connection to the calling ssh.

    \b
    Example, as ssh_config(5) has it:
      ProxyCommand banger ssh-proxy %n
      ProxyUseFdpass yes
    """
    from cli.client.connection import ask
    from cli.guest.session import access_of

    view = ask(api.VM_ACCESS(ref=name.removesuffix(SUFFIX)))
    if f"{view.vm.name}{SUFFIX}" != name:
        raise BangerError(
            Code.NOT_FOUND, f"there is no VM called {name}", hint="list VMs: banger vm list"
        )
    access = access_of(view)
    with _connected(name, access.host, access.port) as connection:
        _hand_over(connection)


def _connected(name: str, host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} does not answer on {host} port {port}: {error.strerror or error}",
            hint=f"check it: banger vm health {name.removesuffix(SUFFIX)}",
        ) from None


def _hand_over(connection: socket.socket) -> None:
    connection.setblocking(True)
    descriptors = array.array("i", [connection.fileno()])
    try:
        with socket.socket(fileno=sys.stdout.fileno()) as caller:
            caller.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            caller.detach()
    except OSError:
        raise BangerError(
            Code.USAGE,
            "ssh-proxy must be called by ssh",
            hint="set it up: banger ssh-config --install",
        ) from None
