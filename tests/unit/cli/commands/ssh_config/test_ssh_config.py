"""``banger ssh-config`` and what ssh makes of it."""

import array
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from shared.errors import Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def user_file(cli: Cli) -> Path:
    return cli.root / ".ssh" / "config"


def understood(cli: Cli, host: str) -> dict[str, str]:
    """What OpenSSH itself reads for ``host`` (ssh -G)."""
    argv = ["/usr/bin/ssh", "-G", "-F", str(user_file(cli)), host]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=cli.env)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_installed_once_ssh_finds_every_vm_and_nothing_else_changes(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_text("Host other\n    User me\n")
    for _ in range(2):
        assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).read_text().count("Include") == 1
    found = understood(cli, "web.vm")
    assert found["user"] == "root"
    assert found["stricthostkeychecking"] == "true"
    assert found["identityfile"] == str(cli.paths.ssh_key)
    assert found["userknownhostsfile"] == str(cli.paths.known_hosts_of("web"))
    assert found["proxycommand"].endswith(" ssh-proxy %n")
    assert understood(cli, "other")["user"] == "me"
    assert "proxycommand" not in understood(cli, "other")
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_text() == "Host other\n    User me\n"
    assert not (cli.paths.state / "ssh_config").exists()


def test_a_file_of_another_encoding_comes_back_to_the_letter(cli: Cli) -> None:
    before = "# Büro\r\nHost other\r\n".encode("latin-1")
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_bytes(before)
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).read_bytes().endswith(before)
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_bytes() == before


def test_without_a_file_one_is_made_private(cli: Cli) -> None:
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).stat().st_mode & 0o777 == 0o600
    assert user_file(cli).parent.stat().st_mode & 0o777 == 0o700


def test_a_symlink_stays_one(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    elsewhere = cli.root / "dotfiles"
    elsewhere.write_text("Host other\n")
    user_file(cli).symlink_to(elsewhere)
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).is_symlink()
    assert "Include" in elsewhere.read_text()


def test_without_an_option_the_lines_are_printed_and_nothing_is_written(cli: Cli) -> None:
    ran = cli("ssh-config")
    assert ran.out.startswith("# Written by")
    assert "Host *.vm" in ran.out
    assert not user_file(cli).exists()


def test_both_options_at_once_are_refused(cli: Cli) -> None:
    assert cli("ssh-config", "--install", "--uninstall").status == 2


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
