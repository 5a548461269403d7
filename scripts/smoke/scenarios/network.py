"""How guests are reached, what they reach, and what they are called."""

import shutil
import socket
import urllib.request
from typing import Any

from scripts.smoke.case import Case
from scripts.smoke.expect import Skipped, contains, equal, eventually, holds
from scripts.smoke.ground import output
from scripts.smoke.registry import Group, scenario
from tests.integration.namespaces import WebServer

NETWORK = Group("network")

SERVER = r"""
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 3000, Listen => 5, ReuseAddr => 1) or die;
while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\r\n\r\nfrom the guest"; close $c; }
"""
ECHO = r"""
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 5300, Proto => "udp") or die;
while (defined $s->recv($m, 2000)) { $s->send("echo $m"); }
"""
PUBLISHED_ABOVE = 1000
"""From a stack's dns port to the first that is published: stacks share a user's loopback."""
GET = "curl -s --noproxy '*' --connect-timeout 5 --max-time 20 http://{}:{}/"
ANSWER = b"from the guest"


def outside(case: Case) -> tuple[str, int]:
    """Address and port of the web server outside."""
    if case.ground.web is None:
        raise Skipped("this machine has no address but loopback, so there is no outside to reach")
    return case.ground.web


def reaches(case: Case, ref: str, address: str, port: int) -> str:
    """The web server's answer as the guest gets it: who asked; "" when it gets none."""
    return case.inside(ref, f"{GET.format(address, port)} || true")


def reaches_outside(case: Case, ref: str) -> None:
    """The web server outside answers the guest and sees it as it should. A guest that is still
    booting, emulated, may not be through within one request's time, so it may ask again."""
    web = outside(case)
    seen = eventually("the outside answers", lambda: reaches(case, ref, *web), 90)
    equal("whom the outside sees", seen, case.ground.uplink)


@scenario(NETWORK)
def nat_on_and_off(case: Case) -> None:
    """A running guest reaches the outside while NAT is on, and only then."""
    web = outside(case)
    vm = case.vm
    equal("answer without NAT", reaches(case, vm, *web), "")
    case.banger("vm", "set", vm, "--nat")
    reaches_outside(case, vm)
    case.banger("vm", "set", vm, "--no-nat")
    equal("answer after NAT was switched off", reaches(case, vm, *web), "")


@scenario(NETWORK)
def nat_after_a_restart(case: Case) -> None:
    """NAT that was switched on live is on after a restart, and off again when told so."""
    outside(case)
    vm = case.vm
    case.banger("vm", "set", vm, "--nat")
    case.banger("vm", "restart", vm)
    equal("NAT shown", case.show(vm)["nat"], True)
    reaches_outside(case, vm)
    case.banger("vm", "set", vm, "--no-nat")


@scenario(NETWORK)
def nat_after_a_delete(case: Case) -> None:
    """Nothing of a deleted VM's NAT is left for the next VM that gets its address."""
    web = outside(case)
    case.run_vm("let-out", "--nat")
    address = case.show("let-out")["address"]
    reaches_outside(case, "let-out")
    case.banger("vm", "delete", "let-out")
    case.run_vm("heir")
    equal("the heir's address", case.show("heir")["address"], address)
    equal("the heir's answer", reaches(case, "heir", *web), "")


@scenario(NETWORK)
def ports(case: Case) -> None:
    """What listens in the guest is shown and reached from here, and goes when it ends."""
    vm = case.vm
    server = case.start("vm", "exec", vm, "--", "perl", "-e", SERVER)
    shown = eventually("port 3000 is shown", lambda: _ports(case, vm, 3000), 60)[0]
    url = f"http://{shown['host_address']}:{shown['host_port']}/"
    equal("answer from here", case.ground.run(lambda: get(url)), ANSWER)
    eventually(
        "a URL is shown", lambda: [port for port in _ports(case, vm, 3000) if port["url"]], 60
    )
    server.send_signal(2)
    case.finish(server)
    eventually("port 3000 is gone", lambda: not _ports(case, vm, 3000), 60)


def _ports(case: Case, vm: str, number: int) -> list[dict[str, Any]]:
    """Those of this number that are reached from here already."""
    listed = case.banger("vm", "ports", vm, "-o", "json").json
    return [port for port in listed if port["guest_port"] == number and port["host_port"]]


def get(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as got:
        content: bytes = got.read()
        return content


def echo(case: Case, host: str, port: int, question: bytes) -> bytes:
    """What is answered by UDP from where the stack is; b"" when nothing is, in two seconds."""

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(2)
            asker.sendto(question, (host, port))
            try:
                return asker.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                return b""

    return case.ground.run(ask)


@scenario(NETWORK)
def udp_port(case: Case) -> None:
    """A UDP server in the guest is shown, answers from here, and goes when it ends."""
    vm = case.vm
    server = case.start("vm", "exec", vm, "--", "perl", "-e", ECHO)
    shown = eventually("port 5300 is shown", lambda: _ports(case, vm, 5300), 60)[0]
    host, port = shown["host_address"], shown["host_port"]
    eventually("it answers", lambda: echo(case, host, port, b"hello") == b"echo hello", 60)
    server.send_signal(2)
    case.finish(server)
    eventually("port 5300 is gone", lambda: not _ports(case, vm, 5300), 60)


@scenario(NETWORK)
def published_ports(case: Case) -> None:
    """Ports of the host lead to a VM from its start or from now on; a taken one is refused with
    who has it; one that is taken away leads nowhere."""
    first = case.stack.dns_port + PUBLISHED_ABOVE
    second, third = first + 1, first + 2
    case.run_vm("front", "--publish", f"{first}:3000")
    server = case.start("vm", "exec", "front", "--", "perl", "-e", SERVER)
    eventually("the published port answers", lambda: _answers(case, first), 60)
    case.banger("vm", "publish", "front", f"{second}:3000")
    eventually("the one published live answers", lambda: _answers(case, second), 60)
    listed = [port["name"] for port in case.banger("vm", "ports", "front", "-o", "json").json]
    holds("vm ports lists both", {f"127.0.0.1:{first}", f"127.0.0.1:{second}"} <= set(listed))
    other = WebServer(case.ground, "127.0.0.1", third)
    try:
        refused = case.banger("vm", "publish", "front", f"{third}:3000", status=4)
    finally:
        other.close()
    contains("the refusal", refused.err, f"tcp port {third} of 127.0.0.1 is taken by")
    refused = case.banger("vm", "create", "--no-start", "-p", f"{first}:80", status=4)
    contains("the refusal", refused.err, "already published by front")
    case.banger("vm", "unpublish", "front", str(first))
    equal("what the first leads to now", _answers(case, first), False)
    equal("what is left", [port["host_port"] for port in case.show("front")["publish"]], [second])
    server.send_signal(2)
    case.finish(server)


def _answers(case: Case, port: int) -> bool:
    """Whether the guest's server answers on this port of the host."""
    try:
        return case.ground.run(lambda: get(f"http://127.0.0.1:{port}/")) == ANSWER
    except OSError:
        return False


@scenario(NETWORK)
def egress_list(case: Case) -> None:
    """A list lets a guest reach what is on it and nothing else; user mode says that it cannot."""
    if case.network == "user":
        refused = case.banger("vm", "create", "--no-start", "--egress", "allow=a.example", status=2)
        contains("the refusal", refused.err, "bridge mode")
        return
    vm, web = case.vm, outside(case)
    case.banger("vm", "set", vm, "--egress", f"allow={web[0]}:{web[1]}")
    reaches_outside(case, vm)
    case.banger("vm", "set", vm, "--egress", f"allow={web[0]}:{web[1] + 1}")
    equal("answer of another port", reaches(case, vm, *web), "")
    case.banger("vm", "set", vm, "--egress", "none")


@scenario(NETWORK)
def names_in_dns(case: Case) -> None:
    """NAME.vm resolves while the VM runs and not after; its address has the name."""
    if shutil.which("dig") is None:
        raise Skipped("dig is not installed")
    case.run_vm("named")
    address = case.show("named")["address"]
    eventually("named.vm resolves", lambda: _dig(case, "named.vm") == address)
    equal("the name of the address", _dig(case, "-x", address), "named.vm.")
    equal("by TCP", _dig(case, "+tcp", "named.vm"), address)
    equal("a name nobody has", _dig(case, "nobody.vm"), "")
    case.banger("vm", "stop", "named")
    eventually("named.vm is gone", lambda: _dig(case, "named.vm") == "")


def _dig(case: Case, *words: str) -> str:
    argv = ("dig", "+short", "-p", str(case.stack.dns_port), "@127.0.0.1", *words)
    return output(case.ground, *argv).strip()
