"""Which VMs are in the zone."""

from ipaddress import IPv4Address

import pytest

from services.dns.records import zone_of
from services.dns.zone import Rcode, Type
from shared.messages.vm import State, Vm
from tests.example import example_vm


def vm(state: State, address: str = "127.77.0.2") -> Vm:
    return example_vm(state=state, address=address)


@pytest.mark.parametrize("state", ["starting", "running", "paused", "stopping"])
def test_vm_that_is_up_has_a_name(state: State) -> None:
    answer = zone_of([vm(state)], [], 1).lookup(("beta", "vm"), Type.A)
    assert answer.records == ((Type.A, IPv4Address("127.77.0.2")),)


@pytest.mark.parametrize("state", ["created", "stopped", "failed"])
def test_vm_that_is_down_has_none(state: State) -> None:
    assert zone_of([vm(state)], [], 1).lookup(("beta", "vm"), Type.A).rcode is Rcode.NXDOMAIN


@pytest.mark.parametrize("address", ["", "127.77.0", "127.77.0.2/16", "beta"])
def test_vm_without_a_usable_address_spoils_nothing_but_its_own_name(address: str) -> None:
    assert len(zone_of([vm("running", address)], [], 1)) == 0
