"""Whose an address is."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from shared.addresses.subnet import gateway_of, guest_addresses, is_outside

SUBNET = IPv4Network("10.77.0.0/24")


def test_gateway_is_the_first_host() -> None:
    assert gateway_of(SUBNET) == IPv4Address("10.77.0.1")


def test_guests_have_the_others_up_to_the_broadcast_address() -> None:
    found = guest_addresses(SUBNET)
    assert (IPv4Address(found[0]), IPv4Address(found[-1])) == (
        IPv4Address("10.77.0.2"),
        IPv4Address("10.77.0.254"),
    )


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("192.0.2.1", True),
        ("10.78.0.1", True),
        ("127.0.0.1", False),
        ("127.77.0.2", False),
        ("0.0.0.0", False),
        ("0.1.2.3", False),
        ("10.77.0.1", False),
        ("10.77.0.9", False),
        ("169.254.169.254", False),
        ("224.0.0.251", False),
        ("255.255.255.255", False),
    ],
)
def test_names_outside_do_not_lead_inside(address: str, outside: bool) -> None:
    assert is_outside(IPv4Address(address), SUBNET) is outside
