"""Which VMs get a tap, and for how long one that was asked for is kept."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.policy.network_policy import allowed_in, publications_in
from services.nat.plan.guests import HOLD_SECONDS, TapHolds, admit, guest_of
from shared.addresses.mac import mac_address
from shared.contract.egress import ENTRIES_MOST
from shared.contract.messages.vm import NetworkMode, Publication, State, Vm
from shared.contract.publication import PORTS_MOST
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


def test_hold_ends_for_a_vm_that_is_up_and_down_between_two_passes() -> None:
    holds = TapHolds()
    holds.hold(ALPHA, 100.0)
    holds.notice({ALPHA: vm("created")})
    holds.notice({})
    assert wanted(holds, "created", 101.0)
    holds.notice({ALPHA: vm("running")})
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
    allow = [f"{n}.example.org" for n in range(ENTRIES_MOST + 1)]
    with pytest.raises(BangerError, match="at most 1024 entries"):
        guest_of(example_vm(network="bridge", address="10.77.0.2", allow=allow), SUBNET)


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


def row(vm_id: str = ALPHA, address: str = "10.77.0.2", **more: Any) -> Vm:
    return example_vm(id=vm_id, network="bridge", address=address, state="running", **more)


ENTRIES = st.sampled_from(
    [
        "example.org",
        "192.0.2.0/24:443",
        "db.vm",
        "*.vm:1",
        "Example.ORG",
        " a ",
        "",
        "*",
        "a:0",
        "::1",
    ]
)
PORTS = st.builds(
    Publication,
    host_port=st.sampled_from([-1, 0, 1, 8080, 65535, 65536]),
    guest_port=st.sampled_from([-1, 0, 80, 65536]) | st.integers(1, 65535),
    host_address=st.sampled_from(["127.0.0.1", "0.0.0.0", "224.0.0.1", "", "::1", "0x7f.1"]),
    protocol=st.sampled_from(["tcp", "udp", "sctp"]),
)
LONG = st.sampled_from([1, 2, ENTRIES_MOST, ENTRIES_MOST + 1]).map(
    lambda length: [f"{n}.org" for n in range(length)]
)


@given(
    st.booleans(),
    st.lists(ENTRIES, max_size=3) | LONG,
    st.lists(PORTS, max_size=3)
    | st.sampled_from([PORTS_MOST, PORTS_MOST + 1]).map(
        lambda length: [Publication(host_port=n + 1, guest_port=1) for n in range(length)]
    ),
)
def test_nat_refuses_exactly_what_the_api_refuses_and_admits_the_rest_of_a_bad_row(
    nat: bool, allow: list[str], publish: list[Publication]
) -> None:
    vm = row(nat=nat, allow=allow, publish=publish)
    refused = [
        refusal(lambda: allowed_in("bridge", nat=nat, allow=allow)),
        refusal(lambda: publications_in("bridge", publish, 0)),
    ]
    code = refusal(lambda: guest_of(vm, SUBNET))
    assert code is next(filter(None, refused), None)
    admission = admit([vm], SUBNET, {})
    (guest,) = admission.guests
    assert len(guest.allow) <= ENTRIES_MOST
    assert len(guest.publish) <= PORTS_MOST
    if code is None:
        assert guest == guest_of(vm, SUBNET)
        assert admission.complaints == []
    else:  # doubles of a port are for ``assign_ports`` to complain about
        assert admission.complaints or len(publish) > 1


def refusal(action: Callable[[], object]) -> Code | None:
    try:
        action()
    except BangerError as error:
        return error.code
    return None


def test_row_that_is_bad_in_a_part_keeps_the_others_and_the_complaint_is_short() -> None:
    bad = msgspec.structs.replace(Publication(host_port=8080, guest_port=80), host_port=0)
    good = Publication(host_port=8081, guest_port=80)
    admission = admit(
        [row(allow=["a.org", "} ; flush", *["x y"] * 2000], publish=[bad, good])], SUBNET, {}
    )
    (guest,) = admission.guests
    assert [entry.name for entry in guest.allow] == ["a.org"]
    assert guest.publish == (good,)
    assert len(admission.complaints) == 2
    assert "} ; flush" in admission.complaints[0][1]
    assert "(and 2000 more)" in admission.complaints[0][1]


def test_vm_without_a_usable_address_is_cut_off_and_a_second_one_with_the_same_too() -> None:
    rows = [row("a" * 12), row("b" * 12), row("c" * 12, "10.77.0.3"), row("d" * 12, "10.78.0.2")]
    admission = admit(rows, SUBNET, {"c" * 12: 2_000_000_003})
    assert [(guest.id, guest.jail) for guest in admission.guests] == [
        ("a" * 12, None),
        ("c" * 12, 2_000_000_003),
    ]
    assert admission.cut_off == ["b" * 12, "d" * 12]
    assert [vm_id for vm_id, _ in admission.complaints] == admission.cut_off


def test_no_more_taps_are_kept_than_the_subnet_has_addresses() -> None:
    rows = [row(f"{n:012x}") for n in range(10)]
    admission = admit(rows, IPv4Network("10.77.0.0/29"), {})
    assert (len(admission.guests), len(admission.cut_off)) == (1, 4)
    assert len(admission.complaints) == 9
    assert admit([row("../../x")], SUBNET, {}).cut_off == []
