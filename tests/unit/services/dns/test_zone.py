"""What is true of a name: RFC 1034 section 4.3.2, RFC 2308, RFC 8020, RFC 6303."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.dns.zone import NAME_SERVER, Answer, Name, Rcode, Soa, Type, Zone, reverse_zones

BETA = IPv4Address("127.77.0.2")
GAMMA = IPv4Address("10.77.0.9")
ZONE = Zone(
    {"beta": BETA, "gamma": GAMMA},
    [IPv4Network("127.77.0.0/16"), IPv4Network("10.77.0.0/24")],
    serial=7,
)
AAAA = 28
VM_SOA = Soa(("vm",), 7)
LOOPBACK_SOA = Soa(("77", "127", "in-addr", "arpa"), 7)


def reverse(address: str) -> Name:
    return tuple(IPv4Address(address).reverse_pointer.split("."))


def test_known_name_has_its_address() -> None:
    assert ZONE.lookup(("beta", "vm"), Type.A) == Answer(Rcode.NOERROR, ((Type.A, BETA),))


def test_known_name_asked_for_another_type_is_no_data() -> None:
    assert ZONE.lookup(("beta", "vm"), AAAA) == Answer(Rcode.NOERROR, authority=VM_SOA)


@pytest.mark.parametrize("name", [("delta", "vm"), ("www", "beta", "vm"), ("bet", "vm")])
def test_unknown_name_in_the_zone_does_not_exist(name: Name) -> None:
    assert ZONE.lookup(name, Type.A) == Answer(Rcode.NXDOMAIN, authority=VM_SOA)


@pytest.mark.parametrize(
    "name",
    [(), ("org",), ("beta", "vm", "example"), ("beta.vm",), reverse("10.78.0.1"), ("arpa",)],
)
def test_name_outside_is_refused_without_authority(name: Name) -> None:
    assert ZONE.lookup(name, Type.A) == Answer(Rcode.REFUSED)


def test_address_points_back_to_its_name_in_both_subnets() -> None:
    for address, name in (("127.77.0.2", "beta"), ("10.77.0.9", "gamma")):
        expected = Answer(Rcode.NOERROR, ((Type.PTR, (name, "vm")),))
        assert ZONE.lookup(reverse(address), Type.PTR) == expected


def test_unknown_address_does_not_exist() -> None:
    answer = ZONE.lookup(reverse("127.77.9.9"), Type.PTR)
    assert answer == Answer(Rcode.NXDOMAIN, authority=LOOPBACK_SOA)


def test_name_above_an_address_exists_without_data() -> None:
    above = reverse("127.77.0.2")[1:]
    assert ZONE.lookup(above, Type.PTR) == Answer(Rcode.NOERROR, authority=LOOPBACK_SOA)


def test_apex_has_soa_and_name_server_and_nothing_else() -> None:
    assert ZONE.lookup(("vm",), Type.SOA).records == ((Type.SOA, VM_SOA),)
    assert ZONE.lookup(("vm",), Type.NS).records == ((Type.NS, NAME_SERVER),)
    assert ZONE.lookup(("vm",), Type.A) == Answer(Rcode.NOERROR, authority=VM_SOA)
    assert len(ZONE.lookup(("vm",), Type.ANY).records) == 2


def test_serial_wraps_where_the_wire_ends() -> None:
    zone = Zone({}, [], serial=2**32 + 5)
    assert zone.lookup(("vm",), Type.SOA).records == ((Type.SOA, Soa(("vm",), 5)),)


def test_length_counts_names_not_reverse_records() -> None:
    assert len(ZONE) == 2


@pytest.mark.parametrize(
    ("subnet", "zones"),
    [
        ("127.77.0.0/16", ["77.127"]),
        ("10.77.0.0/24", ["0.77.10"]),
        ("10.77.4.0/23", ["4.77.10", "5.77.10"]),
        ("10.77.4.64/26", ["4.77.10"]),
        ("10.0.0.0/8", ["10"]),
        ("10.2.0.0/15", ["2.10", "3.10"]),
    ],
)
def test_reverse_zones_are_cut_at_whole_octets(subnet: str, zones: list[str]) -> None:
    found = [".".join(name) for name in reverse_zones(IPv4Network(subnet))]
    assert found == [f"{zone}.in-addr.arpa" for zone in zones]
