"""``banger ssh-proxy``: a connection for the ssh that called."""

import array
import os
import socket
import subprocess
import sys
from collections.abc import Callable

from shared.errors import Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def test_the_proxy_hands_over_a_connection_and_is_gone(cli: Cli, peer: Begin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        shown = view("web")
        shown["access"] |= {"host": "127.0.0.1", "port": server.getsockname()[1]}
        peer({"vm.access": lambda _: shown})
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "cli", "ssh-proxy", "web.vm"]
        process = subprocess.Popen(argv, stdout=theirs.fileno(), env=cli.env, cwd=cli.root)
        theirs.close()
        ours.settimeout(50)
        handed = array.array("i", [0])
        _, messages, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(handed.itemsize))
        assert process.wait(50) == 0
        handed.frombytes(messages[0][2])
        with server.accept()[0] as guest, socket.socket(fileno=os.dup(handed[-1])) as client:
            guest.sendall(b"SSH-2.0-guest\r\n")
            client.settimeout(50)
            assert client.recv(64) == b"SSH-2.0-guest\r\n"
        os.close(handed[-1])
        ours.close()


def test_a_prefix_of_a_name_is_another_host(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": lambda _: view("website")})
    ran = cli("ssh-proxy", "web.vm")
    assert ran.status == 3
    assert "there is no VM called web.vm" in ran.err


def test_a_vm_that_does_not_run_is_told(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": refuse(Code.NOT_RUNNING, "web is stopped, not running")})
    assert cli("ssh-proxy", "web.vm").status == 5


def test_called_by_a_person_it_says_what_it_is_for(cli: Cli, peer: Begin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        shown = view("web")
        shown["access"] |= {"host": "127.0.0.1", "port": server.getsockname()[1]}
        peer({"vm.access": lambda _: shown})
        ran = cli("ssh-proxy", "web.vm")
    assert ran.status == 2
    assert "ssh-config --install" in ran.err
