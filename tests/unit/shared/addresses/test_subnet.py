"""Whose an address is."""

from ipaddress import IPv4Address, IPv4Network

from shared.addresses.subnet import gateway_of, guest_addresses

SUBNET = IPv4Network("10.77.0.0/24")


def test_gateway_is_the_first_host() -> None:
    assert gateway_of(SUBNET) == IPv4Address("10.77.0.1")


def test_guests_have_the_others_up_to_the_broadcast_address() -> None:
    found = guest_addresses(SUBNET)
    assert (IPv4Address(found[0]), IPv4Address(found[-1])) == (
        IPv4Address("10.77.0.2"),
        IPv4Address("10.77.0.254"),
    )
