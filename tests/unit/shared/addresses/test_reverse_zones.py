"""Where a subnet's addresses have their names."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from shared.addresses.reverse_zones import reverse_zones


@pytest.mark.parametrize(
    ("subnet", "zones"),
    [
        ("127.77.0.0/16", ["77.127"]),
        ("10.77.0.0/24", ["0.77.10"]),
        ("10.77.4.0/23", ["4.77.10", "5.77.10"]),
        ("10.77.4.64/26", ["4.77.10"]),
        ("10.0.0.0/8", ["10"]),
        ("10.2.0.0/15", ["2.10", "3.10"]),
        ("10.77.0.8/32", ["0.77.10"]),
    ],
)
def test_zones_are_cut_at_whole_octets(subnet: str, zones: list[str]) -> None:
    assert reverse_zones(IPv4Network(subnet)) == [f"{zone}.in-addr.arpa" for zone in zones]


def test_zone_of_ipv6_is_cut_at_four_bits() -> None:
    assert reverse_zones(IPv6Network("fd12:3456:789a:bcde::/64")) == [
        "e.d.c.b.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa"
    ]
