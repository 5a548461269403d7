"""Transcripts of the planner: what is wanted, what is there, and the steps in between."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from services.nat.plan.state import BridgeGuest, Desired, HostInterface, Observed, Route
from services.nat.plan.steps import (
    ApplyRules,
    AttachTap,
    CloseDocker,
    CreateBridge,
    CreateTap,
    DeleteLink,
    DeleteRules,
    EnableForwarding,
    OpenDocker,
    RestoreForwarding,
    SetAddress,
    SetLocalnet,
    SetNeighbour,
    SetProxyArp,
    SetUp,
    Step,
    plan,
)
from services.nat.ruleset.firewalls import DockerRules, Firewalls
from shared.contract.egress import parse_allowed
from shared.contract.publication import parse_publication
from shared.errors import BangerError, Code

OWNER = 1000
MAC = "06:62:67:72:aa:bb"
GATEWAY = IPv4Interface("10.77.0.1/24")
ALPHA = BridgeGuest("aaaaaaaaaaaa", IPv4Address("10.77.0.2"), "02:00:00:00:00:02", nat=True)
BETA = BridgeGuest("bbbbbbbbbbbb", IPv4Address("10.77.0.3"), "02:00:00:00:00:03", nat=False)

BRIDGE = HostInterface("br-banger", "bridge", MAC, up=True)
UPLINK = HostInterface("eth0", "", "52:54:00:00:00:01", up=True)


def desired(*guests: BridgeGuest) -> Desired:
    return Desired("br-banger", MAC, IPv4Network("10.77.0.0/24"), OWNER, guests)


def tap(guest: BridgeGuest) -> HostInterface:
    return HostInterface(
        guest.tap, "tun", "1a:00:00:00:00:01", True, master="br-banger", owner=OWNER, isolated=True
    )


def host(*links: HostInterface, **more: object) -> Observed:
    return replace(Observed(links={link.name: link for link in links}), **more)  # type: ignore[arg-type]


def in_place(*guests: BridgeGuest) -> Observed:
    """A host on which the plan for ``guests`` has been carried out."""
    nat = any(guest.routed for guest in guests)
    return host(
        UPLINK,
        BRIDGE,
        *(tap(guest) for guest in guests),
        addresses=frozenset({GATEWAY}),
        tables=True,
        rules=desired(*guests).rules.digest,
        forwarding=nat,
        forwarding_saved=nat,
        localnet=any(guest.on_loopback for guest in guests),
        proxy_arp=any(guest.reaches_guests for guest in guests),
    )


def test_forwarding_stays_while_another_nat_may_need_it() -> None:
    left = replace(in_place(), forwarding=True, forwarding_saved=True)
    assert RestoreForwarding() in plan(desired(), left)
    assert RestoreForwarding() not in plan(desired(), replace(left, other_nats=True))


def test_bridge_of_another_banger_is_refused_and_told_from_one_that_is_not() -> None:
    for mac, whose in (("06:62:67:72:00:01", "another banger"), ("06:00:00:00:00:01", "not made")):
        with pytest.raises(BangerError, match=whose) as caught:
            plan(desired(ALPHA), host(replace(BRIDGE, mac=mac)))
        assert caught.value.code is Code.CONFLICT


def test_first_guest_brings_bridge_then_rules_then_its_tap() -> None:
    wanted = desired(ALPHA)
    assert plan(wanted, host(UPLINK)) == [
        CreateBridge("br-banger", MAC),
        SetAddress("br-banger", GATEWAY),
        SetUp("br-banger"),
        ApplyRules(wanted.rules),
        EnableForwarding(),
        SetNeighbour("br-banger", ALPHA.address, ALPHA.mac),
        CreateTap("bgraaaaaaaaaaaa", OWNER),
        AttachTap("bgraaaaaaaaaaaa", "br-banger"),
        SetUp("bgraaaaaaaaaaaa"),
    ]


def test_second_guest_adds_only_what_is_new() -> None:
    wanted = desired(ALPHA, BETA)
    assert plan(wanted, in_place(ALPHA)) == [
        ApplyRules(wanted.rules),
        SetNeighbour("br-banger", BETA.address, BETA.mac),
        CreateTap(BETA.tap, OWNER),
        AttachTap(BETA.tap, "br-banger"),
        SetUp(BETA.tap),
    ]


@pytest.mark.parametrize("guests", [(), (BETA,), (ALPHA, BETA)])
def test_nothing_is_done_twice(guests: tuple[BridgeGuest, ...]) -> None:
    there = in_place(*guests) if guests else host(UPLINK)
    assert plan(desired(*guests), there) == []


def test_leaving_guest_loses_its_tap_before_the_rules_that_bound_it() -> None:
    wanted = desired(ALPHA)
    assert plan(wanted, in_place(ALPHA, BETA)) == [DeleteLink(BETA.tap), ApplyRules(wanted.rules)]


def test_last_guest_takes_everything_of_ours_with_it() -> None:
    assert plan(desired(), in_place(ALPHA)) == [
        DeleteLink(ALPHA.tap),
        RestoreForwarding(),
        DeleteRules(),
        DeleteLink("br-banger"),
    ]


def test_bridge_that_stays_for_others_leads_to_no_loopback() -> None:
    guest = replace(BETA, publish=(parse_publication("8080:80"),))
    there = in_place(guest)
    foreign = HostInterface("eth7", "veth", "1a:00:00:00:00:07", True, master="br-banger")
    links = {**there.links, "eth7": foreign}
    assert plan(desired(), replace(there, links=links)) == [
        DeleteLink(BETA.tap),
        SetLocalnet("br-banger", on=False),
        DeleteRules(),
    ]


def test_forwarding_is_given_back_when_no_guest_has_the_outside() -> None:
    wanted = desired(replace(ALPHA, nat=False))
    assert plan(wanted, in_place(ALPHA)) == [ApplyRules(wanted.rules), RestoreForwarding()]


def test_vm_with_a_list_or_a_port_for_others_needs_forwarding() -> None:
    listed = replace(BETA, allow=(parse_allowed("example.org"),))
    for guest in (listed, replace(BETA, publish=(parse_publication("0.0.0.0:8080:80"),))):
        assert EnableForwarding() in plan(desired(guest), in_place(BETA))


def test_loopback_may_pass_only_while_the_rules_are_there_and_it_is_needed() -> None:
    wanted = desired(replace(BETA, publish=(parse_publication("8080:80"),)))
    on, off = SetLocalnet("br-banger", on=True), SetLocalnet("br-banger", on=False)
    assert plan(wanted, in_place(BETA)) == [ApplyRules(wanted.rules), on]
    there = in_place(*wanted.guests)
    assert plan(wanted, there) == []
    assert plan(desired(BETA), there) == [off, ApplyRules(desired(BETA).rules)]


def docker(*rules: tuple[str, str]) -> Firewalls:
    return Firewalls(docker=(DockerRules("nft", rules),))


def test_dockers_chain_is_opened_while_somebody_needs_the_outside_and_closed_after() -> None:
    ours = (("iifname", "3"), ("oifname", "4"))
    closed, opened = docker(), docker(*ours)
    there = in_place(ALPHA)
    step = OpenDocker("br-banger", closed.docker[0])
    assert plan(desired(ALPHA), replace(there, firewalls=closed)) == [step]
    assert plan(desired(ALPHA), replace(there, firewalls=opened)) == []
    closing = CloseDocker(opened.docker[0])
    assert closing in plan(desired(), replace(there, firewalls=opened))
    assert plan(desired(BETA), replace(in_place(BETA), firewalls=opened)) == [closing]
    assert plan(desired(BETA), replace(in_place(BETA), firewalls=closed)) == []


def test_forwarding_that_the_host_has_itself_is_left_alone() -> None:
    routing_host = host(UPLINK, forwarding=True)
    joined = plan(desired(ALPHA), routing_host)
    left = plan(desired(), replace(in_place(ALPHA), forwarding_saved=False))
    assert not {EnableForwarding, RestoreForwarding} & {type(step) for step in joined + left}


def test_tap_that_lost_isolation_is_attached_again() -> None:
    there = in_place(BETA)
    links = {**there.links, BETA.tap: replace(tap(BETA), isolated=False)}
    assert plan(desired(BETA), replace(there, links=links)) == [AttachTap(BETA.tap, "br-banger")]


def test_rules_that_another_program_flushed_come_back() -> None:
    flushed = replace(in_place(BETA), tables=False, rules=None)
    assert plan(desired(BETA), flushed) == [ApplyRules(desired(BETA).rules)]


@pytest.mark.parametrize(
    "link",
    [
        HostInterface("bgrcccccccccccc", "tun", "1a:00:00:00:00:09", True, owner=OWNER + 1),
        HostInterface("bgrcccccccccccc", "tun", "1a:00:00:00:00:09", True, owner=None),
        HostInterface("bgrcccccccccccc", "tun", "1a:00:00:00:00:09", True, "br-other", OWNER),
        HostInterface("bgrcccccccccccc", "veth", "1a:00:00:00:00:09", True),
        HostInterface("bgr0", "tun", "1a:00:00:00:00:09", True, owner=OWNER),
        HostInterface("tap0", "tun", "1a:00:00:00:00:09", True, owner=OWNER),
    ],
    ids=["other-user", "no-owner", "other-bridge", "not-a-tap", "short-name", "other-name"],
)
def test_link_that_is_not_ours_is_never_touched(link: HostInterface) -> None:
    assert plan(desired(), host(UPLINK, link)) == []


def test_bridge_with_a_foreign_port_is_left_in_place() -> None:
    there = in_place(BETA)
    links = {
        **there.links,
        "eth1": HostInterface("eth1", "", "52:54:00:00:00:02", True, "br-banger"),
    }
    steps = plan(desired(), replace(there, links=links))
    assert steps == [DeleteLink(BETA.tap), DeleteRules()]


@pytest.mark.parametrize("guests", [(), (ALPHA,)])
@pytest.mark.parametrize(
    "bridge",
    [replace(BRIDGE, mac="52:54:00:00:00:03"), replace(BRIDGE, kind="dummy")],
    ids=["other-mac", "other-kind"],
)
def test_bridge_of_somebody_else_is_refused(
    bridge: HostInterface, guests: tuple[BridgeGuest, ...]
) -> None:
    with pytest.raises(BangerError, match="br-banger") as caught:
        plan(desired(*guests), host(UPLINK, bridge))
    assert caught.value.code is Code.CONFLICT


def test_tap_name_taken_by_somebody_else_is_refused() -> None:
    taken = replace(tap(ALPHA), owner=OWNER + 1)
    with pytest.raises(BangerError, match=ALPHA.tap) as caught:
        plan(desired(ALPHA), host(UPLINK, taken))
    assert caught.value.code is Code.CONFLICT


@pytest.mark.parametrize(
    ("route", "named"),
    [
        (Route(IPv4Network("10.0.0.0/8"), "wg0"), "10.0.0.0/8 through wg0"),
        (Route(IPv4Network("10.77.0.128/25"), "eth0"), "10.77.0.128/25 through eth0"),
        (Route(IPv4Network("10.77.0.0/16"), ""), "10.77.0.0/16 to nowhere"),
    ],
)
def test_subnet_routed_elsewhere_is_refused_by_the_routes_name(route: Route, named: str) -> None:
    with pytest.raises(BangerError, match=named) as caught:
        plan(desired(ALPHA), host(UPLINK, routes=(route,)))
    assert caught.value.code is Code.CONFLICT


def test_default_route_and_neighbouring_subnets_do_not_clash() -> None:
    routes = (
        Route(IPv4Network("0.0.0.0/0"), "eth0"),
        Route(IPv4Network("10.77.1.0/24"), "eth0"),
        Route(IPv4Network("10.77.0.0/24"), "br-banger"),
    )
    assert CreateBridge("br-banger", MAC) in plan(desired(ALPHA), host(UPLINK, routes=routes))


def test_route_that_appears_later_does_not_stop_running_guests() -> None:
    there = replace(in_place(ALPHA), routes=(Route(IPv4Network("10.0.0.0/8"), "wg0"),))
    assert plan(desired(ALPHA), there) == []


def test_guests_are_joined_only_while_the_rules_say_which() -> None:
    alpha = replace(ALPHA, nat=False, name="alpha")
    wanted = desired(alpha, replace(BETA, allow=(parse_allowed("alpha.vm"),)))
    steps = plan(wanted, in_place(alpha, BETA))
    assert steps == [
        ApplyRules(wanted.rules),
        SetProxyArp("br-banger", on=True),
        EnableForwarding(),
    ]
    apart = desired(alpha, BETA)
    steps = plan(apart, in_place(*wanted.guests))
    assert steps == [
        SetProxyArp("br-banger", on=False),
        ApplyRules(apart.rules),
        RestoreForwarding(),
    ]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("alpha.vm", {("10.77.0.2", 0)}),
        ("alpha.vm:80", {("10.77.0.2", 80)}),
        ("*.vm", {("10.77.0.2", 0), ("10.77.0.3", 0)}),
        ("nobody.vm", set()),
        ("alpha", set()),
        ("*.alpha.vm", set()),
    ],
)
def test_name_of_a_vm_is_the_address_it_has_now(entry: str, found: set[tuple[str, int]]) -> None:
    alpha = replace(ALPHA, name="alpha")
    beta = replace(BETA, name="beta", nat=True, allow=(parse_allowed(entry),))
    member = next(m for m in desired(alpha, beta).members if m.tap == beta.tap)
    assert {(str(net.network_address), port) for port, net in member.guests} == found
    assert not member.tags


def carried_out(observed: Observed, step: Step) -> Observed:
    """The kernel's answer to one step, for replaying a plan that is cut short."""
    links = dict(observed.links)
    match step:
        case CreateBridge(name, mac):
            links[name] = HostInterface(name, "bridge", mac, up=False)
        case CreateTap(name, owner):
            links[name] = HostInterface(name, "tun", "1a:00:00:00:00:01", False, owner=owner)
        case AttachTap(name, bridge):
            links[name] = replace(links[name], master=bridge, isolated=True)
        case SetUp(name):
            links[name] = replace(links[name], up=True)
        case DeleteLink(name):
            del links[name]
            stays = name != "br-banger"
            return replace(
                observed,
                links=links,
                localnet=observed.localnet and stays,
                proxy_arp=observed.proxy_arp and stays,
            )
        case SetAddress(_, address):
            return replace(observed, addresses=observed.addresses | {address})
        case ApplyRules(ruleset):
            return replace(observed, tables=True, rules=ruleset.digest)
        case DeleteRules():
            return replace(observed, tables=False, rules=None)
        case SetLocalnet(_, on):
            return replace(observed, localnet=on)
        case SetProxyArp(_, on):
            return replace(observed, proxy_arp=on)
        case EnableForwarding():
            return replace(observed, forwarding=True, forwarding_saved=True)
        case RestoreForwarding():
            return replace(observed, forwarding=False, forwarding_saved=False)
    return replace(observed, links=links)


@pytest.mark.parametrize("survived", range(12))
def test_a_plan_cut_short_anywhere_is_finished_by_the_next(survived: int) -> None:
    seeking = replace(ALPHA, allow=(parse_allowed("*.vm"),))
    wanted = desired(replace(seeking, publish=(parse_publication("8080:80"),)))
    there = host(UPLINK)
    for step in plan(wanted, there)[:survived]:
        there = carried_out(there, step)
    for step in plan(wanted, there):
        there = carried_out(there, step)
    assert plan(wanted, there) == []
    for step in plan(desired(), there)[:survived]:
        there = carried_out(there, step)
    for step in plan(desired(), there):
        there = carried_out(there, step)
    assert set(there.links) == {"eth0"}
    assert not there.tables
    assert not there.forwarding


def test_a_jailed_vms_tap_becomes_the_jails_and_goes_back_with_the_jail() -> None:
    jailed = replace(ALPHA, jail=2_000_000_002)
    jails = range(2_000_000_000, 2_000_000_256)
    wanted = replace(desired(jailed), jails=jails)
    made_anew = [
        DeleteLink(ALPHA.tap),
        SetNeighbour("br-banger", ALPHA.address, ALPHA.mac),
        CreateTap(ALPHA.tap, 2_000_000_002),
        AttachTap(ALPHA.tap, "br-banger"),
        SetUp(ALPHA.tap),
    ]
    assert plan(wanted, in_place(ALPHA)) == made_anew
    the_jails = replace(tap(ALPHA), owner=2_000_000_002)
    there = in_place(ALPHA)
    there = replace(there, links={**there.links, ALPHA.tap: the_jails})
    assert plan(wanted, there) == []
    back = replace(desired(ALPHA), jails=jails)
    assert plan(back, there) == [*made_anew[:2], CreateTap(ALPHA.tap, OWNER), *made_anew[3:]]
    assert DeleteLink(ALPHA.tap) in plan(replace(desired(), jails=jails), there)


def test_a_tap_of_another_nats_jail_is_not_ours() -> None:
    foreign = replace(tap(ALPHA), owner=2_000_001_002)
    wanted = replace(desired(), jails=range(2_000_000_000, 2_000_000_256))
    assert plan(wanted, host(UPLINK, foreign)) == []
