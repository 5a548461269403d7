"""Which VMs are in the zone."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from services.dns.wire.format import Rcode, Type
from services.dns.zone.records import VmNetworks, zone_of, zone_view
from shared.contract.messages.vm import State, Vm
from tests.example import example_vm

NETWORKS = VmNetworks(IPv4Network("127.77.0.0/16"), IPv4Network("10.77.0.0/24"))
BOTH = VmNetworks(NETWORKS.loopback, NETWORKS.bridge, IPv6Network("fd00::/64"))


def vm(state: State, address: str = "127.77.0.2") -> Vm:
    return example_vm(state=state, address=address)


@pytest.mark.parametrize("state", ["starting", "running", "paused", "stopping"])
def test_vm_that_is_up_has_a_name(state: State) -> None:
    answer = zone_of([vm(state)], NETWORKS, 1).lookup(("beta", "vm"), Type.A)
    assert answer.records == ((Type.A, IPv4Address("127.77.0.2")),)


@pytest.mark.parametrize("state", ["created", "stopped", "failed"])
def test_vm_that_is_down_has_none(state: State) -> None:
    answer = zone_of([vm(state)], NETWORKS, 1).lookup(("beta", "vm"), Type.A)
    assert answer.rcode is Rcode.NXDOMAIN


@pytest.mark.parametrize(("network", "named"), [("user", True), ("bridge", False)])
def test_vm_that_wakes_when_somebody_connects_keeps_its_name(network: str, *, named: bool) -> None:
    address = "127.77.0.2" if network == "user" else "10.77.0.2"
    row = example_vm(state="suspended", wakes=True, network=network, address=address)
    answer = zone_of([row], NETWORKS, 1).lookup(("beta", "vm"), Type.A)
    assert (answer.rcode is Rcode.NOERROR, zone_view(row) is not None) == (named, named)
    aside = example_vm(state="suspended", network=network, address=address)
    assert zone_view(aside) is None


def test_vm_that_services_keep_has_none_though_it_is_up() -> None:
    kept = example_vm(state="paused", name="0123456789ab", keeper="pool")
    answer = zone_of([kept], NETWORKS, 1).lookup(("0123456789ab", "vm"), Type.A)
    assert (answer.rcode, zone_view(kept)) == (Rcode.NXDOMAIN, None)


@pytest.mark.parametrize("address", ["", "127.77.0", "127.77.0.2/16", "beta"])
def test_vm_without_a_usable_address_spoils_nothing_but_its_own_name(address: str) -> None:
    assert len(zone_of([vm("running", address)], NETWORKS, 1)) == 0


def test_vm_on_the_bridge_has_an_ipv6_address_where_guests_have_them() -> None:
    row = example_vm(state="running", network="bridge", address="10.77.0.2")
    answer = zone_of([row], BOTH, 1).lookup(("beta", "vm"), Type.AAAA)
    assert answer.records == ((Type.AAAA, IPv6Address("fd00::2")),)
    assert zone_of([row], NETWORKS, 1).lookup(("beta", "vm"), Type.AAAA).records == ()


@pytest.mark.parametrize(
    ("network", "address"), [("user", "127.77.0.2"), ("user", "10.77.0.2"), ("bridge", "10.9.0.2")]
)
def test_vm_elsewhere_has_only_its_ipv4_address(network: str, address: str) -> None:
    row = example_vm(state="running", network=network, address=address)
    zone = zone_of([row], BOTH, 1)
    assert zone.lookup(("beta", "vm"), Type.AAAA).rcode is Rcode.NOERROR
    assert zone.lookup(("beta", "vm"), Type.AAAA).records == ()


def test_vm_from_before_its_user_had_a_subnet_keeps_name_and_reverse_name() -> None:
    networks = replace(NETWORKS, loopback=IPv4Network("127.143.160.0/22"))
    for address, covered in (("127.77.0.2", True), ("127.143.160.2", False)):
        zone = zone_of([vm("running", address)], networks, 1)
        assert zone.covers(tuple("2.0.77.127.in-addr.arpa".split("."))) is covered
        assert zone.covers(tuple("2.160.143.127.in-addr.arpa".split(".")))
