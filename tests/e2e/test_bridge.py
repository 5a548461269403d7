"""Bridge mode, in a network namespace of its own: the machine's own network is never touched."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from shared.host.locks import holder
from shared.vm import files
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

CONFIG = 'network = "bridge"\n'


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"bgr{secrets.token_hex(3)}"
    _ip("netns", "add", name)
    _ip("-n", name, "link", "set", "lo", "up")
    yield name
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, check=True).stdout
    _ip("netns", "delete", name)
    assert not pids, "processes left in the namespace"


@pytest.fixture
def bridged(images: None, namespace: str, request: pytest.FixtureRequest) -> Iterator[Home]:
    """A parameter is further lines of configuration."""
    config = CONFIG + getattr(request, "param", "")
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), config, ("ip", "netns", "exec", namespace))
        yield home
        close_home(home)


def _inside(home: Home, *argv: str) -> str:
    done = subprocess.run([*home.prefix, *argv], capture_output=True, check=True, text=True)
    return done.stdout


def _links(home: Home) -> list[str]:
    return [link["ifname"] for link in json.loads(_inside(home, "ip", "-j", "link"))]


def _resolves(home: Home, name: str) -> str:
    return _inside(home, "dig", "+short", "-p", "42069", "@127.0.0.1", name).strip()


def test_a_vm_on_the_bridge_is_reached_named_and_cleaned_up(bridged: Home) -> None:
    home = bridged
    before = _inside(home, "nft", "list", "ruleset"), _links(home)
    home.banger("vm", "run", "-d", "--name", "bridged", "--memory", "512M")
    shown = json.loads(home.banger("vm", "show", "bridged", "-o", "json").stdout)
    assert shown["address"] == "10.77.0.2"
    assert home.banger("vm", "exec", "bridged", "--", "echo", "hello").stdout == "hello\n"
    assert any(link.startswith("bgr") for link in _links(home))
    assert "table inet banger" in _inside(home, "nft", "list", "tables")
    eventually(lambda: _resolves(home, "bridged.vm") == "10.77.0.2", patience=5)
    home.banger("vm", "stop", "bridged")
    eventually(lambda: _resolves(home, "bridged.vm") == "", patience=5)
    home.banger("vm", "delete", "bridged")
    eventually(
        lambda: (_inside(home, "nft", "list", "ruleset"), _links(home)) == before, patience=10
    )


def _takes(home: Home, port: int) -> bool:
    """Whether another program could listen there."""
    script = f"import socket; socket.create_server(('127.0.0.1', {port}))"
    return subprocess.run([*home.prefix, sys.executable, "-c", script], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0  # fmt: skip


def test_what_a_vm_publishes_is_held_while_it_runs(bridged: Home) -> None:
    home = bridged
    home.banger("vm", "run", "-d", "--name", "front", "--memory", "512M", "-p", "8081:80")
    home.banger("vm", "publish", "front", "8082:80")
    shown = json.loads(home.banger("vm", "show", "front", "-o", "json").stdout)
    assert [port["host_port"] for port in shown["publish"]] == [8081, 8082]
    assert [_takes(home, port) for port in (8081, 8082, 8083)] == [False, False, True]
    lock = home.paths.vm_state(shown["id"]) / files.LOCK
    first = holder(lock)
    assert first
    os.kill(first, signal.SIGKILL)
    log = home.paths.vm_state(shown["id"]) / files.SUPERVISOR_LOG
    # Not before: asking takes the port for a moment, and the successor would find it gone.
    eventually(lambda: "took over the VMM" in log.read_text(), patience=30)
    assert holder(lock) not in (None, first)
    assert [_takes(home, port) for port in (8081, 8082)] == [False, False]
    home.banger("vm", "unpublish", "front", "8081")
    assert [_takes(home, port) for port in (8081, 8082)] == [True, False]
    home.banger("vm", "stop", "front")
    assert _takes(home, 8082)
    home.banger("vm", "delete", "front")


def test_an_egress_list_is_taken_in_bridge_mode(bridged: Home) -> None:
    home = bridged
    home.banger("vm", "create", "--no-start", "--name", "kept", "--egress", "allow=a.example:80")
    shown = json.loads(home.banger("vm", "show", "kept", "-o", "json").stdout)
    assert (shown["nat"], shown["allow"]) == (False, ["a.example:80"])
    home.banger("vm", "set", "kept", "--egress", "nat")
    shown = json.loads(home.banger("vm", "show", "kept", "-o", "json").stdout)
    assert (shown["nat"], shown["allow"]) == (True, [])
    home.banger("vm", "delete", "kept")


@pytest.mark.parametrize("bridged", ["ipv6 = true\n"], indirect=True)
def test_a_guest_has_an_ipv6_address_where_that_is_wanted(bridged: Home) -> None:
    home = bridged
    home.banger("vm", "run", "-d", "--name", "six", "--memory", "512M")
    address = _inside(home, "dig", "+short", "-p", "42069", "@127.0.0.1", "AAAA", "six.vm").strip()
    assert IPv6Address(address) in IPv6Network("fd00::/8")
    assert _inside(home, "dig", "+short", "-p", "42069", "@127.0.0.1", "-x", address) == "six.vm.\n"
    in_guest = home.banger("vm", "exec", "six", "--", "ip", "-6", "-o", "address").stdout
    assert f"{address}/64" in in_guest
    eventually(lambda: _greeting(home, address).startswith("SSH-2.0"), patience=20)
    home.banger("vm", "delete", "six")


def _greeting(home: Home, address: str) -> str:
    """The first words of the sshd at ``address``, asked from the host's side."""
    script = f"import socket; print(socket.create_connection(('{address}', 22), 3).recv(64))"
    argv = [*home.prefix, sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.removeprefix("b'")
