"""Elements as nft reads and shows them."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from services.nat.ruleset.sets import (
    AllowedAddress,
    Destination,
    Member,
    additions,
    bridge_sets,
    inet_sets,
    read_allowed,
)
from shared.contract.egress import parse_allowed
from shared.contract.publication import parse_publication

ALPHA = Member("bgraaaaaaaaaaaa", "02:00:00:00:00:02", IPv4Address("10.77.0.2"), nat=False)
ALLOWED = AllowedAddress(ALPHA.address, IPv4Address("192.31.196.1"), 443, 60, "0123456789abcdef")


def listed(*entries: str) -> Member:
    return replace(ALPHA, outside=ways(*entries))


def ways(*entries: str) -> tuple[Destination, ...]:
    return tuple((way.port, way.network) for way in map(parse_allowed, entries) if way.network)


def test_other_guests_are_reached_whatever_is_reached_outside() -> None:
    guests = ways("10.77.0.3", "10.77.0.4:80", "10.77.0.5:80")
    for member in (ALPHA, replace(ALPHA, nat=True)):
        text = inet_sets([replace(member, guests=guests)], ())
        assert "{ 10.77.0.2 . 10.77.0.3/32 }" in text
        assert "{ 10.77.0.2 . 10.77.0.4/31 . 80 }" in text
        assert "elements" not in text[text.index("set listed") : text.index("set guests")]


def test_networks_of_one_port_are_joined_where_they_overlap() -> None:
    text = inet_sets(
        [listed("192.31.196.0/24:80", "192.31.196.7:80", "192.31.196.8", "192.31.196.9")], ()
    )
    assert "10.77.0.2 . 192.31.196.0/24 . 80 }" in text
    assert "{ 10.77.0.2 . 192.31.196.8/31 }" in text


def test_member_with_the_whole_outside_needs_no_list() -> None:
    text = inet_sets([replace(listed("192.31.196.0/24"), nat=True)], ())
    assert "elements" not in text[text.index("set listed") :]


def test_network_that_is_not_global_is_literal_and_is_so_beside_the_whole_outside() -> None:
    for nat in (False, True):
        member = replace(listed("10.9.0.0/16", "192.168.1.5:80", "0.0.0.0/0", "8.8.8.8"), nat=nat)
        text = inet_sets([member], ())
        literal = text[text.index("set literal ") : text.index("set themselves")]
        assert "elements = { 10.77.0.2 . 10.9.0.0/16 }" in literal
        assert "elements = { 10.77.0.2 . 192.168.1.5/32 . 80 }" in literal
        assert "0.0.0.0/0" not in literal


def test_published_ports_are_in_the_map_of_their_address_or_in_that_of_all() -> None:
    ports = (parse_publication("8080:80"), parse_publication("0.0.0.0:53:5353/udp"))
    text = inet_sets([replace(ALPHA, publish=ports)], ())
    assert "{ tcp . 127.0.0.1 . 8080 : 10.77.0.2 . 80 }" in text
    assert "{ udp . 53 : 10.77.0.2 . 5353 }" in text


def test_allowed_address_is_there_twice_for_new_connections_and_for_open_ones() -> None:
    text = inet_sets([ALPHA], [ALLOWED])
    assert '10.77.0.2 . 192.31.196.1 . 443 timeout 60s comment "0123456789abcdef"' in text
    assert '{ 10.77.0.2 . 192.31.196.1 comment "0123456789abcdef" }' in text
    expired = inet_sets([ALPHA], [replace(ALLOWED, seconds=0)])
    assert expired[expired.index("set listed") :].count("elements") == 1
    assert "set established" in expired[: expired.rindex("elements")]


def test_of_two_that_allow_the_same_the_longer_counts() -> None:
    text = inet_sets([ALPHA], [replace(ALLOWED, seconds=90), ALLOWED])
    assert "timeout 90s" in text
    assert "timeout 60s" not in text


def test_time_of_an_element_starts_anew() -> None:
    lines = additions("inet banger", [ALLOWED]).splitlines()
    assert [line.split()[0] for line in lines] == ["add", "delete", "add", "add"]
    assert "timeout" not in lines[1]


@pytest.mark.parametrize("established", ["established", "spoken"], ids=["now", "earlier build"])
def test_elements_are_read_back_as_nft_shows_them(established: str) -> None:
    pair = ["10.77.0.2", "192.31.196.1"]
    named = {"val": {"concat": [*pair, 443]}, "timeout": 60, "expires": 42, "comment": "t"}
    lasting = {"val": {"concat": pair}, "comment": "t"}
    shown: list[dict[str, Any]] = [
        {"name": "networks", "elem": [{"concat": ["10.77.0.2", {"prefix": {}}]}]},
        {"name": "named_services", "elem": [{"elem": named}]},
        {"name": established, "elem": [{"elem": lasting}]},
        {"name": "named"},
    ]
    wanted = replace(ALLOWED, tag="t")
    assert read_allowed(shown) == [
        replace(wanted, seconds=42),
        replace(wanted, seconds=0, port=0),
    ]


def test_tap_is_bound_to_both_its_addresses() -> None:
    assert '"bgraaaaaaaaaaaa" . 02:00:00:00:00:02 . 10.77.0.2' in bridge_sets([ALPHA])
