"""A host under test in a namespace of its own, guests on its bridge, and an outside beyond it."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from services.nat.kernel.host import HostNetwork
from services.nat.kernel.sysctl import IpForward
from services.nat.plan.state import BridgeGuest as GuestSpec
from services.nat.plan.state import Desired, bridge_mac
from services.nat.plan.steps import Step
from services.nat.ruleset.rules import table_of
from services.nat.ruleset.sets import AllowedAddress
from shared.addresses.mac import mac_address
from shared.contract.egress import parse_allowed
from shared.contract.publication import parse_publication
from tests.integration.namespaces import Guest, Namespace, WebServer
from tests.stack import Stack, new_stack

NEEDED = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(),
    reason="needs root and /dev/net/tun to make network namespaces and taps",
)

OUTSIDE, UPLINK = "192.31.196.2", "192.31.196.1"
GATEWAY = "10.77.0.1"
QUICK = 1.5
"""Seconds after which a packet that was dropped counts as dropped."""


def spec(
    vm_id: str, address: str, *, nat: bool = False, allow: str = "", publish: str = ""
) -> GuestSpec:
    """``allow`` and ``publish`` as on the command line, separated by commas."""
    return GuestSpec(
        vm_id,
        IPv4Address(address),
        mac_address(vm_id),
        nat,
        tuple(parse_allowed(entry) for entry in allow.split(",") if entry),
        tuple(parse_publication(entry) for entry in publish.split(",") if entry),
    )


NOBODY = Desired("br-banger", bridge_mac("/state"), IPv4Network("10.77.0.0/24"), owner=os.geteuid())


@dataclass
class Lab:
    """The host under test, and what is around it."""

    place: Namespace
    outside: Namespace
    host: HostNetwork
    cleanup: ExitStack

    def reconcile(self, *guests: GuestSpec, allowed: tuple[AllowedAddress, ...] = ()) -> list[Step]:
        desired = NOBODY.with_guests(guests, allowed)
        return self.place.run(lambda: self.host.reconcile(desired).steps)

    def other_nat(self, bridge: str, subnet: str, note: Path) -> "OtherNat":
        """The nat of another user of the host."""
        base = Desired(bridge, bridge_mac(bridge), IPv4Network(subnet), owner=os.geteuid())
        return OtherNat(self, HostNetwork(IpForward(note), table_of(bridge)), base)

    def boot(self, guest: GuestSpec, *, mac: str = "", address: str = "") -> Guest:
        """Put a guest behind its tap; ``mac`` and ``address`` make it a liar."""
        booted = Guest(
            self.place, guest.tap, mac or guest.mac, f"{address or guest.address}/24", GATEWAY
        )
        self.cleanup.callback(booted.close)
        return booted

    def serve(self, place: Namespace, address: str, port: int) -> None:
        self.cleanup.callback(WebServer(place, address, port).close)

    def dump(self) -> str:
        """Everything of the host's network that a person could see."""
        commands = ("ip -o link", "ip -o addr", "ip route show table all", "nft list ruleset")
        forwarding = "cat /proc/sys/net/ipv4/ip_forward"
        text = "\n".join(self.place.sh(command) for command in (*commands, forwarding))
        # The kernel notices carriers, and probes addresses, in its own time.
        return re.sub(r",LOWER_UP|NO-CARRIER,| state [A-Z]+| tentative| linkdown", "", text)


@dataclass
class OtherNat:
    lab: Lab
    host: HostNetwork
    base: Desired

    def reconcile(self, *guests: GuestSpec) -> list[Step]:
        desired = self.base.with_guests(guests)
        return self.lab.place.run(lambda: self.host.reconcile(desired).steps)

    def boot(self, guest: GuestSpec) -> Guest:
        gateway = str(self.base.gateway.ip)
        booted = Guest(self.lab.place, guest.tap, guest.mac, f"{guest.address}/24", gateway)
        self.lab.cleanup.callback(booted.close)
        return booted


@contextmanager
def made_lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as cleanup:
        place, outside = Namespace(), Namespace()
        cleanup.callback(place.close)
        cleanup.callback(outside.close)
        place.cable_to(outside, "uplink", f"{UPLINK}/24", f"{OUTSIDE}/24")
        # The outside knows the way back, so that only the rules can keep a guest from it.
        outside.sh(f"ip route add 10.77.0.0/24 via {UPLINK}")
        made = Lab(place, outside, HostNetwork(IpForward(tmp_path / "ip_forward.json")), cleanup)
        made.serve(outside, OUTSIDE, 80)
        yield made


@contextmanager
def made_services(lab: Lab) -> Iterator[Stack]:
    """The services in bridge mode; only nat is in the host's namespace."""
    with new_stack('network = "bridge"\n') as made:
        made.start("broker")
        made.start("store")
        made.start("nat", lab.place.run)
        yield made


def fetch(guest: Namespace, address: str, port: int = 80) -> str:
    """What the web server at ``address`` says to ``guest``."""

    def ask() -> str:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=QUICK) as answer:
            return str(answer.read().decode())

    return guest.run(ask)


def is_cut_off(guest: Namespace, address: str, port: int = 80) -> bool:
    try:
        fetch(guest, address, port)
    except (urllib.error.URLError, TimeoutError):
        return True
    return False
