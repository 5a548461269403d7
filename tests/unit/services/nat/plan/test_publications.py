"""Which ports are published, whoever wrote the row."""

from dataclasses import replace
from ipaddress import IPv4Address

import msgspec
import pytest

from services.nat.plan.publications import assign_ports
from services.nat.plan.state import BridgeGuest
from shared.contract.messages.vm import Publication
from shared.contract.publication import (
    PORTS_MOST_OF_USER,
    parse_publication,
    show_publication,
)

GOOD = Publication(host_port=8080, guest_port=80)
ALPHA = BridgeGuest("aaaaaaaaaaaa", IPv4Address("10.77.0.2"), "02:00:00:00:00:02", nat=False)
BETA = BridgeGuest("bbbbbbbbbbbb", IPv4Address("10.77.0.3"), "02:00:00:00:00:03", nat=False)


def assign(
    *published: tuple[BridgeGuest, str], taken: frozenset[tuple[str, int]] | None = None
) -> tuple[list[str], list[tuple[str, str]]]:
    guests = [replace(guest, publish=(parse_publication(text),)) for guest, text in published]
    assigned = assign_ports(guests, taken)
    assert [guest.id for guest in assigned.guests] == [guest.id for guest in guests]
    return [
        show_publication(p) for guest in assigned.guests for p in guest.publish
    ], assigned.refused


@pytest.mark.parametrize("second", ["8080:90", "0.0.0.0:8080:90"])
def test_a_port_that_two_want_is_the_firsts_and_the_second_keeps_its_network(second: str) -> None:
    kept, refused = assign((ALPHA, "8080:80"), (BETA, second))
    assert kept == ["127.0.0.1:8080:80/tcp"]
    assert refused[0][0] == BETA.id
    assert "another VM" in refused[0][1]


def test_row_that_publishes_a_port_twice_has_it_once() -> None:
    """Two elements with one key would have nft refuse the rules of all VMs."""
    twice = tuple(parse_publication(text) for text in ("8080:80", "8080:81", "0.0.0.0:8080:82"))
    assigned = assign_ports([replace(ALPHA, publish=twice)])
    (kept,) = assigned.guests
    (publication,) = kept.publish
    assert show_publication(publication) == "127.0.0.1:8080:80/tcp"
    assert len(assigned.refused) == 2


def test_many_ports_are_gone_through_in_no_time() -> None:
    """Each against all others would be a thousand million comparisons."""
    ports = tuple(
        msgspec.structs.replace(GOOD, host_port=8080, host_address=f"127.1.{n // 256}.{n % 256}")
        for n in range(2**15)
    )
    (kept,) = assign_ports([replace(ALPHA, publish=ports)]).guests
    assert kept.publish == ports


def test_the_same_port_of_another_address_or_protocol_is_another() -> None:
    kept, refused = assign(
        (ALPHA, "8080:80"), (BETA, "192.0.2.1:8080:80"), (BETA, "0.0.0.0:8080:80/udp")
    )
    assert len(kept) == 3
    assert refused == []


def test_untrusted_rows_get_no_privileged_port_and_none_of_another_user() -> None:
    taken = frozenset({("tcp", 8080)})
    kept, refused = assign(
        (ALPHA, "443:443"), (ALPHA, "8080:80"), (ALPHA, "8080:80/udp"), (BETA, "1024:1"),
        taken=taken,
    )  # fmt: skip
    assert kept == ["127.0.0.1:8080:80/udp", "127.0.0.1:1024:1/tcp"]
    assert ["below 1024" in refused[0][1], "another user" in refused[1][1]] == [True, True]


def test_rows_of_our_own_services_may_have_any_port() -> None:
    assert assign((ALPHA, "443:443")) == (["127.0.0.1:443:443/tcp"], [])


def test_untrusted_user_has_a_number_of_ports_and_no_more() -> None:
    ports = [
        msgspec.structs.replace(GOOD, host_port=1024 + n) for n in range(PORTS_MOST_OF_USER + 1)
    ]
    guests = [replace(ALPHA, publish=tuple(ports[:700])), replace(BETA, publish=tuple(ports[700:]))]
    assigned = assign_ports(guests, frozenset())
    assert sum(len(guest.publish) for guest in assigned.guests) == PORTS_MOST_OF_USER
    ((vm_id, reason),) = assigned.refused
    assert vm_id == BETA.id
    assert "at most 1024" in reason
    assert assign_ports(guests).refused == []
