"""Which VMs get a tap, and for how long one that was asked for is kept."""

import re
from ipaddress import IPv4Address, IPv4Network

import pytest

from services.nat.plan.guests import HOLD_SECONDS, TapHolds, guest_of, without_duplicate_addresses
from shared.addresses.mac import mac_address
from shared.contract.messages.vm import NetworkMode, State, Vm
from shared.errors import BangerError, Code
from tests.example import example_vm

SUBNET = IPv4Network("10.77.0.0/24")
ALPHA = "aaaaaaaaaaaa"


def vm(state: State, *, network: NetworkMode = "bridge", address: str = "10.77.0.2") -> Vm:
    return example_vm(
        id=ALPHA, name="alpha", state=state, network=network, address=address, nat=True
    )


def wanted(holds: TapHolds, state: State, now: float) -> bool:
    return bool(holds.wanted({ALPHA: vm(state)}, now))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("created", False),
        ("starting", True),
        ("running", True),
        ("paused", True),
        ("stopping", True),
        ("stopped", False),
        ("failed", False),
    ],
)
def test_state_decides(state: State, expected: bool) -> None:
    assert wanted(TapHolds(), state, 0.0) is expected


def test_vm_in_user_mode_never_has_a_tap() -> None:
    assert TapHolds().wanted({ALPHA: vm("running", network="user")}, 0.0) == []


def test_tap_that_was_asked_for_is_kept_until_the_vm_starts() -> None:
    holds = TapHolds()
    holds.hold(ALPHA, 100.0)
    assert wanted(holds, "created", 101.0)
    assert wanted(holds, "starting", 102.0)


def test_once_up_the_vms_end_takes_the_tap_at_once() -> None:
    holds = TapHolds()
    holds.hold(ALPHA, 100.0)
    assert wanted(holds, "running", 101.0)
    assert not wanted(holds, "stopped", 102.0)


def test_hold_for_a_vm_that_never_starts_ends() -> None:
    holds = TapHolds()
    holds.hold(ALPHA, 100.0)
    assert wanted(holds, "created", 100.0 + HOLD_SECONDS - 1)
    assert not wanted(holds, "created", 100.0 + HOLD_SECONDS)


def test_hold_ends_with_the_vm() -> None:
    holds = TapHolds()
    holds.hold(ALPHA, 100.0)
    assert holds.wanted({}, 101.0) == []
    assert not wanted(holds, "created", 102.0)


def test_guest_has_the_address_of_its_row_and_the_mac_of_its_id() -> None:
    guest = guest_of(vm("running"), SUBNET)
    assert (guest.id, guest.address, guest.nat) == (ALPHA, IPv4Address("10.77.0.2"), True)
    assert guest.mac == mac_address(ALPHA)


@pytest.mark.parametrize("address", ["", "10.78.0.2", "10.77.0.2/24"])
def test_address_outside_the_subnet_is_refused_with_both_named(address: str) -> None:
    with pytest.raises(BangerError, match=re.escape("10.77.0.0/24")) as caught:
        guest_of(vm("running", address=address), SUBNET)
    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize("entry", ["", "} ; flush", "a..b", "example.org:0", "::1", "10.0.0.0/40"])
def test_row_with_an_entry_that_is_none_is_refused(entry: str) -> None:
    row = example_vm(network="bridge", address="10.77.0.2", allow=["example.org", entry])
    with pytest.raises(BangerError) as caught:
        guest_of(row, SUBNET)
    assert caught.value.code is Code.INVALID


def test_list_without_end_is_refused() -> None:
    row = example_vm(network="bridge", address="10.77.0.2", allow=["example.org"] * 2000)
    with pytest.raises(BangerError, match="more than 1024"):
        guest_of(row, SUBNET)


def test_vm_in_user_mode_cannot_be_attached() -> None:
    with pytest.raises(BangerError) as caught:
        guest_of(vm("running", network="user"), SUBNET)
    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize("address", ["10.77.0.0", "10.77.0.1", "10.77.0.255", "10.78.0.2"])
def test_no_guest_gets_an_address_that_is_not_for_guests(address: str) -> None:
    guest_of(vm("running", address="10.77.0.254"), SUBNET)
    with pytest.raises(BangerError) as caught:
        guest_of(vm("running", address=address), SUBNET)
    assert caught.value.code is Code.CONFLICT


def test_an_address_is_one_guests_only() -> None:
    rows = [example_vm(id=digit * 12, network="bridge", address="10.77.0.2") for digit in "ab"]
    rows.append(example_vm(id="c" * 12, network="bridge", address="10.77.0.3"))
    guests = [guest_of(row, SUBNET) for row in rows]
    assert [guest.id for guest in without_duplicate_addresses(guests)] == ["a" * 12, "c" * 12]
