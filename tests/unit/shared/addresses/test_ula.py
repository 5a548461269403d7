"""IPv6 addresses of guests, from what is known anyway."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from shared.addresses.ula import ula_address, ula_prefix

SUBNET = IPv4Network("10.77.0.0/24")
LOCALLY_ASSIGNED = IPv6Network("fd00::/8")


def test_prefix_is_a_locally_assigned_one_and_always_the_same() -> None:
    prefix = ula_prefix("/home/user/.local/state/banger")
    assert (prefix.prefixlen, prefix.subnet_of(LOCALLY_ASSIGNED)) == (64, True)
    assert prefix == IPv6Network("fdf4:580c:d1b:fd9::/64")


def test_another_state_directory_has_another_prefix() -> None:
    assert ula_prefix("/home/one") != ula_prefix("/home/two")


def test_a_path_that_is_no_utf_8_has_one_too() -> None:
    assert ula_prefix("/home/\udcff").prefixlen == 64


@pytest.mark.parametrize(
    ("subnet", "address", "expected"),
    [
        ("10.77.0.0/24", "10.77.0.1", "fd00::1"),
        ("10.77.0.0/24", "10.77.0.254", "fd00::fe"),
        ("10.77.0.0/16", "10.77.1.2", "fd00::102"),
        ("10.77.0.64/26", "10.77.0.65", "fd00::1"),
    ],
)
def test_host_number_is_that_of_the_ipv4_address(subnet: str, address: str, expected: str) -> None:
    found = ula_address(IPv6Network("fd00::/64"), IPv4Network(subnet), IPv4Address(address))
    assert found == IPv6Address(expected)


def test_address_of_another_subnet_has_none() -> None:
    with pytest.raises(ValueError, match=r"10\.78\.0\.1 is not in 10\.77\.0\.0/24"):
        ula_address(IPv6Network("fd00::/64"), SUBNET, IPv4Address("10.78.0.1"))
