"""Ports of a real guest on the host: what listens there, UDP too, and what is published."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from shared.host.locks import holder
from shared.vm import files
from tests.burst import BURST, SERVER, burst, made_at_once
from tests.home import Home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ECHO = r"""
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 5300, Proto => "udp") or die;
$| = 1; print "ready\n";
while (defined $s->recv($m, 2000)) { $s->send("echo $m"); }
"""
MANY = r"""
use IO::Socket::INET;
@s = map { IO::Socket::INET->new(LocalPort => 20000 + $_, Proto => "udp") or die } 1..600;
$| = 1; print "ready\n"; sleep 300;
"""


@contextmanager
def serving(home: Home, vm: str, program: str) -> Iterator[None]:
    """A Perl program in the guest, from when it serves."""
    with home.start("vm", "exec", vm, "--", "perl", "-e", program) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def show(home: Home, vm: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", vm, "-o", "json").stdout)
    return shown


def ask(host: str, port: int, question: bytes) -> bytes:
    """What is answered by UDP, asked up to five times, for a datagram may be lost; else nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(2)
        for _ in range(5):
            asker.sendto(question, (host, port))
            try:
                return asker.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                continue
    return b""


def read(host: str, port: int) -> bytes:
    """What a TCP server says, or nothing when nobody is there."""
    try:
        with socket.create_connection((host, port), 20) as connection:
            return connection.recv(100)
    except ConnectionRefusedError:
        return b""


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def servers() -> Iterator[list[int]]:
    """Ports of two servers on this host's loopback."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "ab"]
        for listener in listeners:
            listener.settimeout(60)
        yield [listener.getsockname()[1] for listener in listeners]


@pytest.fixture(scope="module")
def vm(shared_home: Home, servers: list[int]) -> Iterator[str]:
    """A running VM whose list names one port of this host's loopback literally."""
    policy = f"allow=*,10.0.3.2:{servers[0]}"
    shared_home.banger("vm", "run", "-d", "--name", "shared", "--egress", policy)
    yield "shared"
    shared_home.banger("vm", "delete", "shared")


def connects(home: Home, vm: str, address: str, port: int) -> bool:
    """Whether a TCP connection of the guest is accepted within some seconds."""
    attempt = f"exec 3<>/dev/tcp/{address}/{port}"
    done = home.banger(
        *("vm", "exec", vm, "--", "timeout", "5", "bash", "-c", attempt), check=False
    )
    return bool(done.returncode == 0)


def test_the_outside_of_user_mode_is_filtered_and_changes_of_the_list_wait_for_a_start(
    shared_home: Home, vm: str, servers: list[int]
) -> None:
    named, other = servers
    assert connects(shared_home, vm, "10.0.3.2", named)
    assert not connects(shared_home, vm, "10.0.3.2", other)
    refused = shared_home.banger("vm", "set", vm, "--nat", check=False)
    assert refused.returncode == 4
    shared_home.banger("vm", "set", vm, "--no-nat")
    assert not connects(shared_home, vm, "10.0.3.2", named)


def test_a_udp_port_is_reached_on_the_vms_address_and_goes(shared_home: Home, vm: str) -> None:
    address = show(shared_home, vm)["address"]
    with serving(shared_home, vm, ECHO):
        eventually(lambda: "udp/5300" in show(shared_home, vm)["ports"], patience=60)
        assert ask(address, 5300, b"hello") == b"echo hello"
        assert ask(address, 5300, bytes(1400)) == b"echo " + bytes(1400)
        kill_supervisor(shared_home, vm)
        assert ask(address, 5300, b"again") == b"echo again"
    eventually(lambda: "udp/5300" not in show(shared_home, vm)["ports"], patience=60)
    assert ask(address, 5300, b"hello") == b""


def test_a_guest_with_very_many_sockets_hurts_nobody(shared_home: Home, vm: str) -> None:
    lock = shared_home.paths.vm_state(show(shared_home, vm)["id"]) / files.LOCK
    supervisor = holder(lock)
    with serving(shared_home, vm, MANY):
        eventually(lambda: len(show(shared_home, vm)["ports"]) == 256, patience=60)
        checks = json.loads(
            shared_home.banger("vm", "health", vm, "-o", "json", check=False).stdout
        )
        assert "beyond the 256" in str(checks)
    eventually(lambda: not show(shared_home, vm)["ports"], patience=60)
    assert holder(lock) == supervisor


def test_a_console_that_floods_keeps_its_end_alone(shared_home: Home, vm: str) -> None:
    console = shared_home.paths.vm_state(show(shared_home, vm)["id"]) / files.CONSOLE_LOG
    with console.open("ab") as flood:  # a guest under emulation takes minutes for as much
        flood.write(b"flood\n" * (3 << 20))
        os.fsync(flood.fileno())
    eventually(lambda: console.stat().st_blocks * 512 <= 9 << 20, patience=60)
    shared_home.banger("vm", "exec", vm, "--", "sh", "-c", "echo after the flood >/dev/console")
    eventually(lambda: b"after the flood" in console.read_bytes()[-4096:], patience=60)
    shown = shared_home.banger("vm", "logs", vm).stdout
    assert len(shown) < 10 << 20
    assert "\0" not in shown
    assert "after the flood" in shown


def kill_supervisor(home: Home, vm: str) -> None:
    """Returns when there is another one."""
    lock = home.paths.vm_state(show(home, vm)["id"]) / files.LOCK
    first = holder(lock)
    assert first
    os.kill(first, signal.SIGKILL)
    eventually(lambda: holder(lock) not in (None, first), patience=30)


def test_ports_are_published_and_taken_away_while_the_guest_runs(
    shared_home: Home, vm: str
) -> None:
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    with serving(shared_home, vm, SERVER), serving(shared_home, vm, ECHO):
        shared_home.banger("vm", "publish", vm, f"{tcp}:3000", f"{udp}:5300/udp")
        assert read("127.0.0.1", tcp) == b"from the guest"
        assert ask("127.0.0.1", udp, b"hello") == b"echo hello"
        assert made_at_once("127.0.0.1", tcp) == BURST  # its queue has one place by itself
        assert len(burst("127.0.0.1", tcp)) == BURST
        kill_supervisor(shared_home, vm)
        assert read("127.0.0.1", tcp) == b"from the guest"
        assert ask("127.0.0.1", udp, b"hello") == b"echo hello"
        shared_home.banger("vm", "unpublish", vm, "--all")
        assert read("127.0.0.1", tcp) == b""
        assert ask("127.0.0.1", udp, b"hello") == b""


def test_the_guest_reaches_nothing_by_udp_without_nat(shared_home: Home, vm: str) -> None:
    """Neither this host's loopback nor anybody on the wire, while a UDP port is open."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bystander:
        bystander.bind(("127.0.0.1", 0))
        port = bystander.getsockname()[1]
        with serving(shared_home, vm, ECHO):
            eventually(lambda: "udp/5300" in show(shared_home, vm)["ports"], patience=60)
            targets = ("10.0.2.2", "10.0.2.4", "10.0.3.2")
            script = "".join(f"echo x > /dev/udp/{target}/{port}; " for target in targets)
            done: subprocess.CompletedProcess[str] = shared_home.banger(
                "vm", "exec", vm, "--", "bash", "-c", f"{script} true"
            )
            assert done.returncode == 0
            # What came later on the same wire has been answered: what was sent before is lost.
            assert ask(show(shared_home, vm)["address"], 5300, b"after") == b"echo after"
        bystander.setblocking(False)
        with pytest.raises(BlockingIOError):
            bystander.recv(100)
