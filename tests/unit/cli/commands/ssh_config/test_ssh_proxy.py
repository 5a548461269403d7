"""``banger ssh-proxy``: a connection for the ssh that called."""

import array
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from shared.errors import Code
from shared.vm.known_hosts import pin
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def test_the_proxy_hands_over_a_connection_and_is_gone(cli: Cli, peer: Begin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        shown = view("web")
        shown["access"] |= {"host": "127.0.0.1", "port": server.getsockname()[1]}
        pin(cli.paths.known_hosts, ["web.vm"], "ssh-ed25519 AAAA")
        peer({"vm.access": lambda _: shown})
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-m", "cli", "ssh-proxy", "web.vm"]
        process = subprocess.Popen(
            argv, stdin=theirs.fileno(), stdout=theirs.fileno(), env=cli.env, cwd=cli.root
        )
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


@pytest.mark.parametrize("name", ["web.vm", "0123456789ab.vm"])
def test_for_a_program_with_pipes_the_bytes_go_through_and_the_key_is_pinned(
    cli: Cli, peer: Begin, name: str
) -> None:
    (cli.root / "own").write_text("0123456789ab ssh-ed25519 AAAA\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shown = view("web")
        shown["access"] |= {"host": "127.0.0.1", "port": port, "known_hosts": f"{cli.root}/own"}
        peer({"vm.access": lambda _: shown})
        process = cli.popen("ssh-proxy", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin
        assert process.stdout
        guest = server.accept()[0]
        with guest:
            guest.settimeout(50)
            guest.sendall(b"x" * 300_000)
            assert len(process.stdout.read(300_000)) == 300_000
            process.stdin.write(b"hello")
            process.stdin.close()
            assert guest.recv(5, socket.MSG_WAITALL) == b"hello"
            assert guest.recv(1) == b""
            guest.sendall(b"bye")
        assert process.stdout.read() == b"bye"
        assert process.wait(50) == 0
    names = f"web.vm,0123456789ab.vm,0123456789ab,[127.0.0.1]:{port}"
    assert cli.paths.known_hosts.read_text() == f"{names} ssh-ed25519 AAAA\n"


def test_called_by_a_person_it_says_what_it_is_for(cli: Cli) -> None:
    ran = cli.on_terminal(["ssh-proxy", "web.vm"], [])
    assert ran.status == 2
    assert "ssh-config --install" in ran.out
