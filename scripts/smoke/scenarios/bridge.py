"""What only bridge mode has: egress by name, names and ways between guests, nothing left behind."""

import json
from typing import Any

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, eventually, holds, lacks
from scripts.smoke.ground import SITE, output
from scripts.smoke.registry import Group, scenario
from scripts.smoke.scenarios.network import get, outside, reaches, reaches_outside
from tests.integration.namespaces import WebServer

BRIDGE = Group("bridge", "bridge")

GATEWAY_PORT = 8081
"""Where a server on the bridge's own address stands for whatever the host serves."""
CONNECT = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>&1 && echo connected"


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
            lambda: get(f"http://{gateway}:{GATEWAY_PORT}/")), gateway.encode())  # fmt: skip
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
