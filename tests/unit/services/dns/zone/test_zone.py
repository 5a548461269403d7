"""What is true of a name: RFC 1034 section 4.3.2, RFC 2308, RFC 8020, RFC 6303."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from services.dns.wire.format import Rcode, Type
from services.dns.zone.zone import NAME_SERVER, Name, Soa, Zone, ZoneAnswer

BETA = IPv4Address("127.77.0.2")
GAMMA = IPv4Address("10.77.0.9")
GAMMA6 = IPv6Address("fd12:3456:789a:bcde::9")
ZONE = Zone(
    {"beta": [BETA], "gamma": [GAMMA, GAMMA6]},
    [
        IPv4Network("127.77.0.0/16"),
        IPv4Network("10.77.0.0/24"),
        IPv6Network("fd12:3456:789a:bcde::/64"),
    ],
    serial=7,
)
VM_SOA = Soa(("vm",), 7)
LOOPBACK_SOA = Soa(("77", "127", "in-addr", "arpa"), 7)


def reverse(address: str) -> Name:
    return tuple(ip_address(address).reverse_pointer.split("."))


def test_known_name_has_its_address() -> None:
    assert ZONE.lookup(("beta", "vm"), Type.A) == ZoneAnswer(Rcode.NOERROR, ((Type.A, BETA),))


def test_known_name_asked_for_another_type_is_no_data() -> None:
    assert ZONE.lookup(("beta", "vm"), Type.AAAA) == ZoneAnswer(Rcode.NOERROR, authority=VM_SOA)


@pytest.mark.parametrize("name", [("delta", "vm"), ("www", "beta", "vm"), ("bet", "vm")])
def test_unknown_name_in_the_zone_does_not_exist(name: Name) -> None:
    assert ZONE.lookup(name, Type.A) == ZoneAnswer(Rcode.NXDOMAIN, authority=VM_SOA)


@pytest.mark.parametrize(
    "name",
    [(), ("org",), ("beta", "vm", "example"), ("beta.vm",), reverse("10.78.0.1"), ("arpa",)],
)
def test_name_outside_is_refused_without_authority(name: Name) -> None:
    assert ZONE.lookup(name, Type.A) == ZoneAnswer(Rcode.REFUSED)


def test_address_points_back_to_its_name_in_both_subnets() -> None:
    for address, name in (("127.77.0.2", "beta"), ("10.77.0.9", "gamma")):
        expected = ZoneAnswer(Rcode.NOERROR, ((Type.PTR, (name, "vm")),))
        assert ZONE.lookup(reverse(address), Type.PTR) == expected


def test_unknown_address_does_not_exist() -> None:
    answer = ZONE.lookup(reverse("127.77.9.9"), Type.PTR)
    assert answer == ZoneAnswer(Rcode.NXDOMAIN, authority=LOOPBACK_SOA)


def test_name_above_an_address_exists_without_data() -> None:
    above = reverse("127.77.0.2")[1:]
    assert ZONE.lookup(above, Type.PTR) == ZoneAnswer(Rcode.NOERROR, authority=LOOPBACK_SOA)


def test_apex_has_soa_and_name_server_and_nothing_else() -> None:
    assert ZONE.lookup(("vm",), Type.SOA).records == ((Type.SOA, VM_SOA),)
    assert ZONE.lookup(("vm",), Type.NS).records == ((Type.NS, NAME_SERVER),)
    assert ZONE.lookup(("vm",), Type.A) == ZoneAnswer(Rcode.NOERROR, authority=VM_SOA)


@pytest.mark.parametrize(("name", "first"), [(("vm",), Type.SOA), (("gamma", "vm"), Type.A)])
def test_any_is_answered_with_one_record_set(name: Name, first: Type) -> None:
    (record,) = ZONE.lookup(name, Type.ANY).records
    assert record[0] is first


def test_name_with_an_ipv6_address_has_it_and_is_found_back_by_it() -> None:
    found = ZONE.lookup(("gamma", "vm"), Type.AAAA)
    assert found == ZoneAnswer(Rcode.NOERROR, ((Type.AAAA, GAMMA6),))
    back = ZONE.lookup(reverse(str(GAMMA6)), Type.PTR)
    assert back.records == ((Type.PTR, ("gamma", "vm")),)


def test_unknown_ipv6_address_does_not_exist_in_its_zone() -> None:
    answer = ZONE.lookup(reverse("fd12:3456:789a:bcde::aa"), Type.PTR)
    assert answer.rcode is Rcode.NXDOMAIN
    assert answer.authority == Soa(reverse("fd12:3456:789a:bcde::")[16:], 7)


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        (("nobody", "vm"), True),
        (("vm",), True),
        (reverse("127.77.1.1"), True),
        (reverse("fd12:3456:789a:bcde::1"), True),
        (("vm", "org"), False),
        (reverse("10.78.0.1"), False),
        ((), False),
    ],
)
def test_covers_what_it_answers_and_nothing_else(name: Name, covered: bool) -> None:
    assert ZONE.covers(name) is covered


def test_serial_wraps_where_the_wire_ends() -> None:
    zone = Zone({}, [], serial=2**32 + 5)
    assert zone.lookup(("vm",), Type.SOA).records == ((Type.SOA, Soa(("vm",), 5)),)


def test_length_counts_names_not_reverse_records() -> None:
    assert len(ZONE) == 2
