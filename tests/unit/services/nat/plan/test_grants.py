"""What names resolved to: for how long, for whom, and how much of it is kept."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from services.nat.plan.grants import GRACE_SECONDS, LONGEST, MOST, MOST_OF_GUEST, Grants, usable
from services.nat.plan.state import BridgeGuest, tag_of
from shared.contract.egress import parse_allowed
from shared.errors import BangerError, Code

FIRST, SECOND = IPv4Address("192.31.196.1"), IPv4Address("192.31.196.2")


def guest(*allow: str, nat: bool = False) -> BridgeGuest:
    entries = tuple(parse_allowed(entry) for entry in allow)
    address = IPv4Address("10.77.0.2")
    return BridgeGuest("aaaaaaaaaaaa", address, "02:00:00:00:00:02", nat, entries)


def test_name_is_allowed_by_each_entry_that_covers_it_with_its_port() -> None:
    asker = guest("example.org:80", "*.org:443", "example.com", "192.31.196.0/24")
    added = Grants().lacking(asker, "example.org", [FIRST], 10, 0.0).added
    assert [(one.destination, one.port, one.seconds) for one in added] == [
        (FIRST, 80, 10 + GRACE_SECONDS),
        (FIRST, 443, 10 + GRACE_SECONDS),
    ]
    assert added[0].tag == tag_of(asker.id, asker.allow[0])


def test_name_that_no_entry_covers_is_denied() -> None:
    with pytest.raises(BangerError) as caught:
        Grants().lacking(guest("*.example.org"), "example.org", [FIRST], 10, 0.0)
    assert caught.value.code is Code.DENIED


def test_address_that_is_there_for_long_enough_is_not_put_there_again() -> None:
    grants, asker = Grants(), guest("example.org")
    grants.add(grants.lacking(asker, "example.org", [FIRST], 10, 0.0), 0.0)
    assert grants.lacking(asker, "example.org", [FIRST], 10, 20.0).added == ()
    later = grants.lacking(asker, "example.org", [FIRST, SECOND], 10, 31.0)
    assert {one.destination for one in later.added} == {FIRST, SECOND}


def test_time_is_neither_negative_nor_endless() -> None:
    asker = guest("example.org")
    (never,) = Grants().lacking(asker, "example.org", [FIRST], 2**40, 0.0).added
    assert never.seconds == LONGEST + GRACE_SECONDS


def test_rendered_again_an_address_has_the_rest_of_its_time_and_then_none() -> None:
    grants, asker = Grants(), guest("example.org")
    grants.add(grants.lacking(asker, "example.org", [FIRST], 10, 0.0), 0.0)
    assert [one.seconds for one in grants.allowed([asker], 15.0)] == [25]
    assert [one.seconds for one in grants.allowed([asker], 100.0)] == [0]


@pytest.mark.parametrize("now_is", [guest("example.com"), guest("example.org", nat=True), None])
def test_what_is_no_longer_on_the_list_is_forgotten(now_is: BridgeGuest | None) -> None:
    grants, asker = Grants(), guest("example.org")
    grants.add(grants.lacking(asker, "example.org", [FIRST], 10, 0.0), 0.0)
    assert grants.allowed([now_is] if now_is else [], 1.0) == []
    assert grants.allowed([asker], 1.0) == []


def test_when_there_are_too_many_expired_ones_make_room_and_no_others() -> None:
    grants, asker = Grants(), guest("*.org")
    many = [IPv4Address(f"198.18.{n // 256}.{n % 256}") for n in range(MOST)]
    grants.add(grants.lacking(asker, "a.org", many[:10], 1, 0.0), 0.0)
    grants.add(grants.lacking(asker, "a.org", many[10:], 1000, 0.0), 0.0)
    with pytest.raises(BangerError) as caught:
        grants.lacking(asker, "a.org", [FIRST], 10, 1.0)
    assert caught.value.code is Code.UNAVAILABLE
    change = grants.lacking(asker, "a.org", [FIRST], 10, 100.0)
    assert [one.destination for one in change.revoked] == many[:1]  # the kernel forgets it too
    grants.add(change, 100.0)
    kept = {one.destination for one in grants.allowed([asker], 100.0)}
    assert len(kept) == MOST
    assert FIRST in kept
    assert not kept.issuperset(many[:10])


def test_address_that_another_entry_keeps_stays_established() -> None:
    grants, asker = Grants(), guest("*.org", "example.com")
    many = [IPv4Address(f"198.18.{n // 256}.{n % 256}") for n in range(MOST)]
    grants.add(grants.lacking(asker, "a.org", many, 1, 0.0), 0.0)
    grants.add(grants.lacking(asker, "example.com", many[:1], 1, 0.0), 0.0)
    change = grants.lacking(asker, "a.org", [FIRST, SECOND], 1, 100.0)
    assert [one.destination for one in change.expired] == many[:2]
    assert [one.destination for one in change.revoked] == many[1:2]


def test_what_is_forgotten_for_nothing_is_kept() -> None:
    """Until the kernel has it: nft may refuse."""
    grants, asker = Grants(), guest("*.org")
    many = [IPv4Address(f"198.18.{n // 256}.{n % 256}") for n in range(MOST)]
    grants.add(grants.lacking(asker, "a.org", many, 1, 0.0), 0.0)
    grants.lacking(asker, "a.org", [FIRST], 1, 100.0)
    assert {one.destination for one in grants.allowed([asker], 100.0)} == set(many)


def test_all_entries_of_a_guest_together_have_an_end() -> None:
    grants, asker = Grants(), guest(*(f"*.org:{port}" for port in range(1, 100)))
    half = [IPv4Address(f"198.18.0.{n}") for n in range(MOST_OF_GUEST // 99 // 2 + 1)]
    grants.add(grants.lacking(asker, "a.org", half, 10, 0.0), 0.0)
    other = [IPv4Address(f"198.19.0.{n}") for n in range(len(half))]
    with pytest.raises(BangerError) as caught:
        grants.lacking(asker, "a.org", other, 10, 0.0)
    assert caught.value.code is Code.UNAVAILABLE
    grants.add(grants.lacking(asker, "a.org", other, 10, 100.0), 100.0)
    assert len(grants.allowed([asker], 100.0)) == MOST_OF_GUEST
    with pytest.raises(BangerError):
        grants.lacking(asker, "a.org", half * 3 + other + many_more(), 10, 100.0)


def many_more() -> list[IPv4Address]:
    return [IPv4Address(0xC6120000 + n) for n in range(10**5)]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "0.1.2.3", "10.77.0.9", "::1", "x"],
)
def test_address_that_is_not_outside_is_refused(address: str) -> None:
    with pytest.raises(BangerError) as caught:
        usable(address, IPv4Network("10.77.0.0/24"))
    assert caught.value.code is Code.INVALID
    assert usable("192.31.196.1", IPv4Network("10.77.0.0/24")) == FIRST
