"""The text handed to nft, and the digest by which it is known again."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from services.nat.ruleset.rules import (
    BridgeFacts,
    deletion,
    is_table,
    loaded_digest,
    render,
    table_of,
)
from services.nat.ruleset.sets import AllowedAddress, Member

GROUND = BridgeFacts("br-banger", IPv4Interface("10.77.0.1/24"), 42069)
ALPHA = Member("bgraaaaaaaaaaaa", "02:00:00:00:00:02", IPv4Address("10.77.0.2"), nat=True)
BETA = Member("bgrbbbbbbbbbbbb", "02:00:00:00:00:03", IPv4Address("10.77.0.3"), nat=False)


def test_text_replaces_both_tables_in_the_one_transaction_that_makes_them() -> None:
    text = render(GROUND, (ALPHA,)).text
    assert text.startswith(deletion("banger"))
    assert text.count("table inet banger {") == text.count("table bridge banger {") == 1


def test_only_members_with_the_outside_are_in_the_set_nat() -> None:
    text = render(GROUND, (ALPHA, BETA)).text
    nat_set = text[text.index("set nat") : text.index("set listed")]
    assert "10.77.0.2" in nat_set
    assert "10.77.0.3" not in nat_set


def test_every_tap_is_bound_to_its_addresses() -> None:
    text = render(GROUND, (ALPHA, BETA)).text
    assert '"bgrbbbbbbbbbbbb" . 02:00:00:00:00:03 . 10.77.0.3' in text
    assert '"bgrbbbbbbbbbbbb" . 10.77.0.3' in text


def test_addresses_of_names_are_in_the_text_and_not_in_the_digest() -> None:
    listed = replace(BETA, tags=("t",))
    live = AllowedAddress(BETA.address, IPv4Address("192.0.2.1"), 0, 60, "t")
    without, with_one = render(GROUND, (listed,)), render(GROUND, (listed,), (live,))
    assert without.digest == with_one.digest
    assert "10.77.0.3 . 192.0.2.1 timeout 60s" in with_one.text


def test_change_of_the_names_on_a_list_changes_the_digest() -> None:
    one = replace(BETA, tags=("t",))
    other = replace(BETA, tags=("u",))
    assert render(GROUND, (one,)).digest != render(GROUND, (other,)).digest


def test_set_without_members_has_no_elements_line() -> None:
    text = render(GROUND, ()).text
    assert text.count("elements") == 1
    assert "0.0.0.0/8" in text[text.index("set special") : text.index("set literal")]


def test_order_of_members_does_not_change_the_digest() -> None:
    one = render(GROUND, (ALPHA, BETA))
    assert one == render(GROUND, (BETA, ALPHA))


def test_any_change_of_a_member_changes_the_digest() -> None:
    before = render(GROUND, (ALPHA,)).digest
    after = render(GROUND, (replace(ALPHA, nat=False),)).digest
    assert before != after


def test_without_a_prefix_no_ipv6_passes() -> None:
    text = render(GROUND, (ALPHA,)).text
    assert "chain from_guest6 {\n\t\tdrop\n\t}" in text


def test_with_a_prefix_a_guest_answers_for_its_own_addresses_only() -> None:
    ground = replace(GROUND, gateway6=IPv6Interface("fd00::1/64"))
    text = render(ground, (replace(ALPHA, addresses6=(IPv6Address("fd00::2"),)),)).text
    assert '"bgraaaaaaaaaaaa" . fd00::2' in text
    assert "@th,64,128 != { 0xfd000000000000000000000000000002 } goto spoofed" in text


def test_digest_is_read_back_from_the_chains_of_both_tables() -> None:
    ruleset = render(GROUND, (ALPHA,))
    mark = f"digest_{ruleset.digest}"
    assert f"chain {mark} {{ }}" in ruleset.text
    chains = [("inet", mark), ("inet", "input"), ("bridge", mark), ("bridge", "prerouting")]
    assert loaded_digest(chains) == ruleset.digest


def test_tables_that_lack_the_digest_or_disagree_have_none() -> None:
    assert loaded_digest([]) is None
    assert loaded_digest([("inet", "digest_1"), ("bridge", "prerouting")]) is None
    assert loaded_digest([("inet", "digest_1"), ("bridge", "digest_2")]) is None


def test_tables_of_another_bridge_have_its_name() -> None:
    assert table_of("br-banger") == "banger"
    assert table_of("br-two") == "banger-br-two"
    assert [is_table(name) for name in ("banger", "banger-br-two", "bangers", "filter")] == [
        *(True, True, False, False)
    ]
    text = render(replace(GROUND, bridge="br-two"), (ALPHA,)).text
    assert text.startswith(deletion("banger-br-two"))
    assert "table inet banger {" not in text


def test_guests_are_led_to_dns_unless_another_user_has_its_port() -> None:
    assert render(GROUND, (ALPHA,)).text.count("redirect to :42069") == 2
    assert "redirect to" not in render(replace(GROUND, dns_taken=True), (ALPHA,)).text
    assert render(replace(GROUND, dns_owner=1000), ()).text.count("meta skuid != 1000 drop") == 2
