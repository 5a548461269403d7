"""Egress policies as users write them."""

from ipaddress import IPv4Network

import pytest

from shared.contract.egress import (
    ENTRIES_MOST,
    Allowed,
    Egress,
    check_egress,
    parse_allowed,
    parse_egress,
)
from shared.errors import BangerError, Code


@pytest.mark.parametrize(
    ("text", "egress"),
    [
        ("none", Egress()),
        ("nat", Egress(nat=True)),
        ("allow=a.example", Egress(allow=("a.example",))),
        ("allow=A.example:443, 192.0.2.0/24", Egress(allow=("a.example:443", "192.0.2.0/24"))),
        ("allow=a.example,a.example", Egress(allow=("a.example",))),
        ("allow=*", Egress(nat=True)),
        ("allow=*,db.vm:5432", Egress(nat=True, allow=("db.vm:5432",))),
        ("allow=db.vm", Egress(allow=("db.vm",))),
    ],
)
def test_policy_is_read_and_written_again(text: str, egress: Egress) -> None:
    assert parse_egress(text) == egress
    assert parse_egress(str(egress)) == egress


@pytest.mark.parametrize(
    "text", ["", "all", "none=a", "nat=x", "allow", "allow=", "allow=,", "allow=a b", "NAT"]
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_egress(text)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ("deb.debian.org", Allowed(name="deb.debian.org")),
        ("Deb.Debian.org.:80", Allowed(name="deb.debian.org", port=80)),
        ("*.debian.org:443", Allowed(name="*.debian.org", port=443)),
        ("192.0.2.7", Allowed(network=IPv4Network("192.0.2.7/32"))),
        ("192.0.2.7/24:53", Allowed(network=IPv4Network("192.0.2.0/24"), port=53)),
        ("localhost", Allowed(name="localhost")),
    ],
)
def test_entry(entry: str, allowed: Allowed) -> None:
    assert parse_allowed(entry) == allowed


@pytest.mark.parametrize(
    "entry",
    [
        *("", ":80", "a:0", "a:65536", "a:x", "a:", "-a", "a..b", "*", "a.*.b", "a:٣", "1.2.3"),
        *("1.2.3.4.5", "192.0.2.0/33", "::1", "2001:db8::/32", "ä", "a/24"),
        *("a" * 64, ".".join(["a" * 60] * 5)),
    ],
)
def test_what_is_no_entry_is_refused(entry: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_allowed(entry)
    assert caught.value.code is Code.INVALID


def test_names_an_entry_covers() -> None:
    exact, below = parse_allowed("example.org"), parse_allowed("*.example.org")
    assert [exact.covers(n) for n in ("example.org", "a.example.org", "xexample.org")] == [
        *(True, False, False)
    ]
    assert [below.covers(n) for n in ("example.org", "a.example.org", "b.a.example.org")] == [
        *(False, True, True)
    ]
    assert not below.covers("xexample.org")
    assert not parse_allowed("192.0.2.0/24").covers("example.org")


def test_entry_below_vm_is_for_guests_and_no_other_is() -> None:
    assert parse_allowed("db.vm:5432").covers_guest("db")
    assert not parse_allowed("db.vm").covers_guest("db-2")
    assert parse_allowed("*.vm").covers_guest("db-2")
    for entry in ("db", "vm", "*.example.vm.org", "10.77.0.0/24"):
        assert not parse_allowed(entry).is_guest
        assert not parse_allowed(entry).covers_guest("db")


def test_number_of_entries_has_an_end_and_doubles_do_not_count() -> None:
    entries = [f"{n}.example" for n in range(ENTRIES_MOST)]
    assert check_egress(False, [*entries, *entries]) == tuple(entries)
    with pytest.raises(BangerError, match="at most 1024 entries, not 1025"):
        check_egress(False, [*entries, "one.more"])


def test_error_about_a_long_entry_is_short() -> None:
    with pytest.raises(BangerError) as caught:
        parse_allowed("x" * 100_000)
    assert len(caught.value.message) < 200
