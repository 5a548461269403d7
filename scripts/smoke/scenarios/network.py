"""How guests are reached, what they reach, and what they are called."""

import json
import shutil
import socket
import urllib.request
from typing import Any

from scripts.smoke.case import Case
from scripts.smoke.expect import Skipped, contains, equal, eventually, holds, lacks
from scripts.smoke.ground import SITE, output
from scripts.smoke.registry import Group, scenario
from tests.integration.namespaces import WebServer

NETWORK = Group("network")
BRIDGE = Group("bridge", "bridge")

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
GATEWAY_PORT = 8081
"""Where a server on the bridge's own address stands for whatever the host serves."""


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
    equal("answer from here", case.ground.run(lambda: _get(url)), ANSWER)
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


def _get(url: str) -> bytes:
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
    contains("the refusal", refused.err, "published by front already")
    case.banger("vm", "unpublish", "front", str(first))
    equal("what the first leads to now", _answers(case, first), False)
    equal("what is left", [port["host_port"] for port in case.show("front")["publish"]], [second])
    server.send_signal(2)
    case.finish(server)


def _answers(case: Case, port: int) -> bool:
    """Whether the guest's server answers on this port of the host."""
    try:
        return case.ground.run(lambda: _get(f"http://127.0.0.1:{port}/")) == ANSWER
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


@scenario(BRIDGE)
def egress_by_name(case: Case) -> None:
    """A name on the list leads out to what it resolves to; nothing else resolves or is reached."""
    address, port = outside(case)
    vm = case.run_vm("listed", "--egress", f"allow={SITE}:{port}")
    equal("before anybody asked for the name", reaches(case, vm, address, port), "")
    seen = eventually("the outside answers by name", lambda: reaches(case, vm, SITE, port), 90)
    equal("whom the outside sees", seen, case.ground.uplink)
    equal("by its address now", reaches(case, vm, address, port), case.ground.uplink)
    equal("another name", case.inside(vm, "getent ahostsv4 other.example || true"), "")
    case.banger("vm", "set", vm, "--egress", "nat")
    equal("with all of the outside", reaches(case, vm, SITE, port), case.ground.uplink)
    case.banger("vm", "set", vm, "--egress", "none")
    equal("with none of it", reaches(case, vm, address, port), "")
    equal("nor does it resolve", case.inside(vm, f"getent ahostsv4 {SITE} || true"), "")


@scenario(BRIDGE)
def guests_find_each_other_by_name(case: Case) -> None:
    """A guest resolves the names of VMs that are up, its own too, and addresses back to names."""
    one, two = case.run_vm("one"), case.run_vm("two")
    for name in (one, two):
        found = case.inside(one, f"getent ahostsv4 {name}.vm")
        contains(name, found, case.show(name)["address"] if name == two else "127.0.1.1")
    back = case.inside(one, f"getent hosts {case.show(two)['address']}")
    contains("the name of its address", back, f"{two}.vm")
    case.banger("vm", "stop", two)
    unknown = f"getent ahostsv4 {two}.vm || echo unknown"
    eventually("no name after its stop", lambda: case.inside(one, unknown) == "unknown")


CONNECT = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>&1 && echo connected"


def connects(case: Case, source: str, target: str) -> bool:
    """Whether one guest reaches the sshd of another, by its name."""
    said = case.inside(source, CONNECT.format(f"{target}.vm", 22), status=None)
    return "connected" in said


@scenario(BRIDGE)
def guests_reach_those_on_their_list(case: Case) -> None:
    """One VM reaches another by its name, at the port on its list; not the reverse, not after."""
    two = case.run_vm("two")
    one = case.run_vm("one", "--egress", f"allow={two}.vm:22")
    eventually("by name", lambda: connects(case, one, two), 90)  # its sshd may be starting yet
    equal("egress", case.show(one)["allow"], [f"{two}.vm:22"])
    equal("the reverse", connects(case, two, one), False)
    case.banger("vm", "restart", two)
    eventually("after its restart", lambda: connects(case, one, two), 90)
    case.banger("vm", "set", one, "--egress", "none")
    equal("after the end of the list", connects(case, one, two), False)


@scenario(BRIDGE)
def guests_are_isolated(case: Case) -> None:
    """Guests reach neither each other nor what the host serves, but with NAT the outside."""
    one = case.run_vm("one", "--nat")
    two = case.run_vm("two", "--nat")
    addresses = {name: case.show(name)["address"] for name in (one, two)}
    gateway = case.inside(one, "ip route show default | awk '{print $3}'")
    server = WebServer(case.ground, gateway, GATEWAY_PORT)
    try:
        equal("what the host serves there", case.ground.run(
            lambda: _get(f"http://{gateway}:{GATEWAY_PORT}/")), gateway.encode())  # fmt: skip
        equal("the same for a guest", reaches(case, one, gateway, GATEWAY_PORT), "")
    finally:
        server.close()
    for name, other in ((one, two), (two, one)):
        said = case.inside(name, CONNECT.format(addresses[other], 22), status=None)
        lacks(f"what {name} says of {other}", said, "connected")
    reaches_outside(case, one)


@scenario(BRIDGE)
def taps_and_rules_go_with_the_vm(case: Case) -> None:
    """The last VM takes bridge, tap, rules and forwarding with it."""
    eventually("earlier VMs have left nothing", lambda: not case.ground.leftovers())
    before = _host_network(case)
    case.run_vm("only", "--nat")
    during = _host_network(case)
    holds("there is a tap", any(name.startswith("bgr") for name in during["links"]))
    holds("there are rules", during["tables"])
    equal("forwarding", during["forwarding"], "1")
    case.banger("vm", "delete", "only")
    eventually("all is as before", lambda: _host_network(case) == before)


def _host_network(case: Case) -> dict[str, Any]:
    links = json.loads(output(case.ground, "ip", "-j", "link"))
    return {
        "links": [link["ifname"] for link in links],
        "tables": output(case.ground, "nft", "list", "ruleset"),
        "forwarding": output(case.ground, "cat", "/proc/sys/net/ipv4/ip_forward").strip(),
    }
