"""Names, marks and limits of what may be asked of the kernel."""

import re
from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

import pytest

from services.nat.plan.state import (
    IFNAME_MAX,
    BridgeGuest,
    Desired,
    bridge_mac,
    is_tap_name,
    link_local,
    tap_name,
)
from shared.errors import BangerError, Code


def test_tap_name_holds_the_whole_vm_id_within_the_kernels_limit() -> None:
    name = tap_name("0123456789ab")
    assert name == "bgr0123456789ab"
    assert len(name) == IFNAME_MAX
    assert is_tap_name(name)


@pytest.mark.parametrize("name", ["bgr", "bgr0123456789a", "bgr0123456789AB", "xbgr0123456789ab"])
def test_names_of_another_form_are_not_taps_of_ours(name: str) -> None:
    assert not is_tap_name(name)


def test_bridge_address_is_stable_local_and_differs_between_installations() -> None:
    one, other = bridge_mac("/home/a/state"), bridge_mac("/home/b/state")
    assert one == bridge_mac("/home/a/state")
    assert one != other
    assert one.startswith("06:62:67:72:")


def test_gateway_is_the_first_address_of_the_subnet() -> None:
    wanted = Desired("br0", "02:00:00:00:00:01", IPv4Network("10.9.8.0/22"), 0)
    assert wanted.gateway == IPv4Interface("10.9.8.1/22")


def test_ipv6_addresses_are_the_hosts_first_and_the_guests_number() -> None:
    without = Desired("br0", "02:00:00:00:00:01", IPv4Network("10.77.0.0/24"), 0)
    wanted = replace(without, prefix=IPv6Network("fd00:0:0:7::/64"))
    guest = BridgeGuest("a" * 12, IPv4Address("10.77.0.20"), "02:00:00:00:00:02", nat=False)
    assert wanted.gateway6 == IPv6Interface("fd00:0:0:7::1/64")
    assert wanted.address6_of(guest) == IPv6Interface("fd00:0:0:7::14/64")
    assert without.address6_of(guest) is None
    assert without.own_addresses == (without.gateway,)


def test_link_local_address_is_the_one_that_the_kernel_makes() -> None:
    assert link_local("02:11:22:33:44:55") == IPv6Address("fe80::11:22ff:fe33:4455")


@pytest.mark.parametrize("name", ["", "br-much-too-long", "br banger", 'br"', "0br", "br/x"])
def test_bridge_name_that_the_kernel_or_nft_would_misread_is_refused(name: str) -> None:
    with pytest.raises(BangerError) as caught:
        Desired(name, "02:00:00:00:00:01", IPv4Network("10.77.0.0/24"), 0)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("subnet", ["10.77.0.0/30", "0.0.0.0/0"])
def test_subnet_without_room_or_without_end_is_refused(subnet: str) -> None:
    with pytest.raises(BangerError, match=re.escape(subnet)):
        Desired("br0", "02:00:00:00:00:01", IPv4Network(subnet), 0)


@pytest.mark.parametrize(
    ("vm_id", "mac"),
    [("abc", "06:00:00:00:00:01"), ("0123456789ab", "06:00"), ("0123456789ab", '06:00" }')],
)
def test_guest_whose_strings_could_break_a_rule_is_refused(vm_id: str, mac: str) -> None:
    with pytest.raises(BangerError) as caught:
        BridgeGuest(vm_id, IPv4Address("10.77.0.2"), mac, nat=False)
    assert caught.value.code is Code.INVALID
