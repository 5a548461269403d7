"""Two nats on one host, each of a user of its own, with real packets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from tests.integration.nat_lab import (
    NEEDED,
    OUTSIDE,
    UPLINK,
    Lab,
    OtherNat,
    fetch,
    is_cut_off,
    made_lab,
    spec,
)

pytestmark = NEEDED

ALPHA = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
CLOSED = spec("cccccccccccc", "10.77.0.3")
BETA = spec("bbbbbbbbbbbb", "10.78.0.2", nat=True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        made.outside.sh(f"ip route add 10.78.0.0/24 via {UPLINK}")
        yield made


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> OtherNat:
    return lab.other_nat("br-two", "10.78.0.0/24", tmp_path / "other.json")


def forwards(lab: Lab) -> bool:
    return lab.place.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def test_two_nats_leave_each_others_guests_alone(lab: Lab, other: OtherNat) -> None:
    before = lab.dump()
    lab.reconcile(ALPHA, CLOSED)
    other.reconcile(BETA)
    assert lab.reconcile(ALPHA, CLOSED) == []
    assert other.reconcile(BETA) == []
    alpha, closed, beta = lab.boot(ALPHA), lab.boot(CLOSED), other.boot(BETA)
    assert fetch(alpha, OUTSIDE) == fetch(beta, OUTSIDE) == UPLINK
    lab.serve(beta, "10.78.0.2", 80)
    assert fetch(lab.place, "10.78.0.2") == "10.78.0.1"
    assert is_cut_off(alpha, "10.78.0.2")  # it is no address of the outside
    assert is_cut_off(closed, OUTSIDE)
    other.reconcile()
    assert lab.reconcile(ALPHA, CLOSED) == []
    assert is_cut_off(closed, OUTSIDE)
    assert fetch(alpha, OUTSIDE) == UPLINK
    lab.reconcile()
    assert lab.dump() == before


def test_guest_that_names_the_other_bridge_literally_reaches_no_guest_there(
    lab: Lab, other: OtherNat
) -> None:
    bold = spec(ALPHA.id, "10.77.0.2", nat=True, allow="10.78.0.0/24")
    lab.reconcile(bold)
    other.reconcile(BETA)
    lab.serve(other.boot(BETA), "10.78.0.2", 80)
    assert is_cut_off(lab.boot(bold), "10.78.0.2")


def test_forwarding_stays_on_until_the_last_of_both_is_gone(lab: Lab, other: OtherNat) -> None:
    lab.reconcile(ALPHA)
    other.reconcile(BETA)
    beta = other.boot(BETA)
    lab.reconcile()
    assert fetch(beta, OUTSIDE) == UPLINK
    other.reconcile()
    lab.reconcile()
    assert not forwards(lab)


def test_second_nat_with_the_same_bridge_is_refused_with_what_to_set(
    lab: Lab, tmp_path: Path
) -> None:
    lab.reconcile(ALPHA)
    there = lab.dump()
    same = lab.other_nat("br-banger", "10.78.0.0/24", tmp_path / "other.json")
    for guests in ((BETA,), ()):
        with pytest.raises(BangerError, match="another banger") as caught:
            same.reconcile(*guests)
        assert caught.value.code is Code.CONFLICT
        assert "nat.bridge" in caught.value.hint
    assert lab.dump() == there


def test_tables_that_an_earlier_build_gave_the_default_name_go_and_others_stay(
    lab: Lab, other: OtherNat
) -> None:
    other.reconcile(BETA)
    old = "table inet banger {\n chain input {\n type filter hook input priority 0; \n}\n}\n"
    for line, removed in ((f'iifname "{other.base.bridge}" drop', True), ("accept", False)):
        script = old.replace("priority 0; ", f"priority 0; {line}; ")
        (note := other.host.ip_forward.note.with_name("rules")).write_text(script)
        lab.place.sh(f"nft -f {note}")
        assert lab.place.run(lambda: other.host.remove_unmarked("br-two")) is removed
        assert ("table inet banger {" in lab.place.sh("nft list ruleset")) is not removed
