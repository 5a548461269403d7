"""Which addresses are outside."""

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses.outside import SPECIAL, is_global, is_outside, is_special

SUBNET = IPv4Network("9.77.0.0/24")


@pytest.mark.parametrize("address", ["1.1.1.1", "9.78.0.1", "100.63.255.255", "168.63.129.17"])
def test_what_is_globally_routable_is_outside(address: str) -> None:
    assert is_outside(IPv4Address(address), SUBNET)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
        *("127.0.0.1", "127.77.0.2", "0.0.0.0", "0.1.2.3", "10.78.0.1", "172.31.0.1"),
        *("192.168.1.1", "100.64.0.1", "198.19.0.1", "224.0.0.251", "255.255.255.255"),
        *("9.77.0.1", "9.77.0.9"),
    ],
)
def test_names_do_not_lead_to_metadata_or_into_local_networks(address: str) -> None:
    assert not is_outside(IPv4Address(address), SUBNET)


@given(st.ip_addresses(v=4))
def test_python_knows_of_no_other_address_that_is_not_global(address: IPv4Address) -> None:
    """Its table (``is_global``) is of another age in every version; ours has all of it."""
    assert not is_global(address) or address.is_global


def test_networks_do_not_overlap_since_a_set_of_nft_refuses_that() -> None:
    assert not any(one.overlaps(other) for one, other in combinations(SPECIAL, 2))


@pytest.mark.parametrize(
    ("network", "literal"),
    [
        ("192.168.1.0/24", True),
        ("169.254.169.254", True),
        ("168.63.129.16", True),
        ("168.63.129.0/24", False),
        ("0.0.0.0/0", False),
        ("8.0.0.0/6", False),
    ],
)
def test_only_a_network_within_a_special_one_names_it(network: str, literal: bool) -> None:
    assert is_special(IPv4Network(network)) is literal
