"""Which guest asks, and what its policy lets it look up."""

from ipaddress import IPv4Network

import pytest

from services.dns.zone.guests import AnyName, ListedNames, name_clients
from shared.contract.messages.vm import State, Vm
from tests.example import example_vm

SUBNET = IPv4Network("10.77.0.0/24")


def guest(**changes: object) -> Vm:
    usual = {"network": "bridge", "state": "running", "address": "10.77.0.2"}
    return example_vm(**{**usual, **changes})


def policy(vm: Vm) -> AnyName | ListedNames:
    return name_clients([vm], SUBNET)["10.77.0.2"].policy


def test_guest_is_known_by_its_address() -> None:
    (asker,) = name_clients([guest()], SUBNET).values()
    assert (asker.id, asker.name) == ("0123456789ab", "beta")


@pytest.mark.parametrize("state", ["starting", "running", "paused", "stopping"])
def test_guest_that_is_up_may_ask(state: State) -> None:
    assert "10.77.0.2" in name_clients([guest(state=state)], SUBNET)


@pytest.mark.parametrize(
    "vm",
    [
        guest(state="stopped"),
        guest(state="created"),
        guest(state="failed"),
        guest(network="user"),
        guest(address="10.78.0.2"),
        guest(address="10.77.0.1"),
        guest(address="10.77.0.255"),
        guest(address=""),
    ],
    ids="stopped created failed user elsewhere gateway broadcast none".split(),
)
def test_others_are_nobody(vm: Vm) -> None:
    assert name_clients([vm], SUBNET) == {}


def test_address_that_two_claim_is_nobodys() -> None:
    assert name_clients([guest(), guest(id="bbbbbbbbbbbb", nat=True)], SUBNET) == {}


def test_policies_follow_the_row() -> None:
    assert policy(guest(nat=True)) == AnyName()
    assert policy(guest()) == ListedNames()
    listed = policy(guest(allow=["*.example.org", "deb.debian.org:443", "192.0.2.0/24"]))
    assert isinstance(listed, ListedNames)
    names = ("www.example.org", "deb.debian.org", "example.org", "192.0.2.1", "")
    assert [listed.covers(name) for name in names] == [True, True, False, False, False]


def test_entry_that_cannot_be_read_opens_nothing() -> None:
    assert policy(guest(allow=["not a name!"])) == ListedNames()
