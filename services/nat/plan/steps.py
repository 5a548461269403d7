"""The steps that turn the host's network as it is into what the running guests need.

Pure: ``plan(desired, observed)`` reads nothing and changes nothing. Without guests, nothing of nat
remains on the host: no bridge, no tap, no rule, and ip_forward has its original value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from services.nat.plan.state import (
    MAC_MARK,
    BridgeGuest,
    Desired,
    HostInterface,
    Observed,
    is_tap_name,
)
from services.nat.ruleset.firewalls import DockerRules
from services.nat.ruleset.rules import Ruleset
from shared.errors import BangerError, Code


@dataclass(frozen=True)
class CreateBridge:
    name: str
    mac: str


@dataclass(frozen=True)
class SetAddress:
    link: str
    address: IPv4Interface | IPv6Interface


@dataclass(frozen=True)
class SetUp:
    """Set the link up. The host ignores router advertisements that arrive by it (accept_ra)."""

    link: str


@dataclass(frozen=True)
class SetNeighbour:
    """Set the hardware address of an IP address. The host may still know the previous VM's."""

    bridge: str
    address: IPv4Address
    mac: str


@dataclass(frozen=True)
class CreateTap:
    name: str
    owner: int


@dataclass(frozen=True)
class AttachTap:
    """Make a tap an isolated port of the bridge, so that every frame passes the rules."""

    tap: str
    bridge: str


@dataclass(frozen=True)
class DeleteLink:
    name: str


@dataclass(frozen=True)
class ApplyRules:
    ruleset: Ruleset


@dataclass(frozen=True)
class DeleteRules:
    pass


@dataclass(frozen=True)
class EnableForwarding:
    """Save the value of ip_forward, then set it to 1."""


@dataclass(frozen=True)
class RestoreForwarding:
    """Set ip_forward to the saved value."""


@dataclass(frozen=True)
class OpenDocker:
    """Insert nat's two rules into Docker's chain, in place of those ``present``."""

    bridge: str
    present: DockerRules


@dataclass(frozen=True)
class CloseDocker:
    """Remove nat's rules from Docker's chain."""

    present: DockerRules


@dataclass(frozen=True)
class SetLocalnet:
    """Set whether packets of 127.0.0.0/8 may pass the bridge (route_localnet)."""

    bridge: str
    on: bool


@dataclass(frozen=True)
class SetProxyArp:
    """Set whether the host answers ARP for one guest to another, and so routes between them."""

    bridge: str
    on: bool


Step = (
    CreateBridge
    | SetAddress
    | SetUp
    | SetNeighbour
    | CreateTap
    | AttachTap
    | DeleteLink
    | ApplyRules
    | DeleteRules
    | EnableForwarding
    | RestoreForwarding
    | SetLocalnet
    | SetProxyArp
    | OpenDocker
    | CloseDocker
)


def plan(desired: Desired, observed: Observed) -> list[Step]:
    """The steps from ``observed`` to ``desired``, in an order that is safe to stop at any point.

    A tap is attached only after the rules that bind it to its address are loaded, and rules are
    removed only after the taps that they bind. An empty list means that nothing has to be done.

    Raises:
        BangerError: ``conflict`` when an interface that nat did not create has the name of the
            bridge or of a tap, or when the subnet is already routed elsewhere. Nothing is planned
            then.
    """
    _refuse_foreign(desired, observed)
    steps: list[Step] = [DeleteLink(tap) for tap in _leaked_taps(desired, observed)]
    if not (desired.guests or observed.links.keys() & set(desired.cut_off_taps)):
        return steps + list(_take_down(desired, observed))
    _refuse_clash(desired, observed)
    steps += _bridge_steps(desired, observed)
    steps += _rules_steps(desired, observed)
    steps += _forwarding_steps(desired, observed)
    for guest in desired.guests:
        steps += _tap_steps(guest, desired, observed)
    return steps


def _refuse_foreign(desired: Desired, observed: Observed) -> None:
    bridge = observed.links.get(desired.bridge)
    if bridge is not None and (bridge.kind != "bridge" or bridge.mac != desired.mac):
        raise BangerError(
            Code.CONFLICT,
            f"an interface named {desired.bridge} exists and {_whose(bridge)}",
            hint="set another nat.bridge, and another nat.subnet and dns.port beside another "
            "banger, in the configuration",
        )
    for guest in desired.guests:
        link = observed.links.get(guest.tap)
        if link is not None and not _our_tap(link, desired):
            raise BangerError(
                Code.CONFLICT,
                f"an interface named {guest.tap} exists and is not a tap of this banger",
                hint=f"look at it: ip -d link show {guest.tap}",
            )


def _whose(bridge: HostInterface) -> str:
    if bridge.kind == "bridge" and bridge.mac.startswith(MAC_MARK):
        return "belongs to another banger"
    return "was not made by banger"


def _refuse_clash(desired: Desired, observed: Observed) -> None:
    """Refuse a subnet with a route, only before the address is set: a route that appears later
    must not stop guests."""
    if desired.gateway in observed.addresses:
        return
    for route in observed.routes:
        if route.device == desired.bridge or route.destination.prefixlen == 0:
            continue
        if route.destination.overlaps(desired.subnet):
            way = f"through {route.device}" if route.device else "to nowhere"
            raise BangerError(
                Code.CONFLICT,
                f"the bridge subnet {desired.subnet} clashes with the route "
                f"{route.destination} {way}",
                hint="set another bridge subnet in the configuration",
            )


def _our_tap(link: HostInterface, desired: Desired) -> bool:
    return (
        is_tap_name(link.name)
        and link.kind == "tun"
        and (link.owner == desired.owner or link.owner in desired.jails)
        and link.master in (None, desired.bridge)
    )


def _leaked_taps(desired: Desired, observed: Observed) -> list[str]:
    wanted = {guest.tap for guest in desired.guests} | set(desired.cut_off_taps)
    ours = (link.name for link in observed.links.values() if _our_tap(link, desired))
    return sorted(name for name in ours if name not in wanted)


def _take_down(desired: Desired, observed: Observed) -> Iterator[Step]:
    yield from _forwarding_steps(desired, observed)
    if observed.localnet:  # the bridge may stay, because of another program's port
        yield SetLocalnet(desired.bridge, on=False)
    if observed.proxy_arp:
        yield SetProxyArp(desired.bridge, on=False)
    if observed.tables:
        yield DeleteRules()
    if desired.bridge in observed.links and not _has_foreign_port(desired, observed):
        yield DeleteLink(desired.bridge)


def _has_foreign_port(desired: Desired, observed: Observed) -> bool:
    """Whether another program's interface is a port of the bridge. The bridge stays then."""
    ports = (link for link in observed.links.values() if link.master == desired.bridge)
    return any(not _our_tap(link, desired) for link in ports)


def _bridge_steps(desired: Desired, observed: Observed) -> Iterator[Step]:
    link = observed.links.get(desired.bridge)
    if link is None:
        yield CreateBridge(desired.bridge, desired.mac)
    for address in desired.own_addresses:
        if address not in observed.addresses:
            yield SetAddress(desired.bridge, address)
    if link is None or not link.up:
        yield SetUp(desired.bridge)


def _rules_steps(desired: Desired, observed: Observed) -> Iterator[Step]:
    """Load the rules, and keep a setting that opens a path on only while rules guard the path."""
    localnet = any(guest.on_loopback for guest in desired.guests)
    if observed.localnet and not localnet:
        yield SetLocalnet(desired.bridge, on=False)
    if observed.proxy_arp and not desired.proxy_arp:
        yield SetProxyArp(desired.bridge, on=False)
    if observed.rules != desired.rules.digest:
        yield ApplyRules(desired.rules)
    if localnet and not observed.localnet:
        yield SetLocalnet(desired.bridge, on=True)
    if desired.proxy_arp and not observed.proxy_arp:
        yield SetProxyArp(desired.bridge, on=True)


def _forwarding_steps(desired: Desired, observed: Observed) -> Iterator[Step]:
    needed = any(guest.routed for guest in desired.guests)
    if needed and not observed.forwarding:
        yield EnableForwarding()
    elif not needed and observed.forwarding_saved and not observed.other_nats:
        yield RestoreForwarding()  # with other nats their guests may need it: a later pass does it
    for present in observed.firewalls.docker:
        if needed and not present.complete:
            yield OpenDocker(desired.bridge, present)
        elif not needed and present.rules:
            yield CloseDocker(present)


def _tap_steps(guest: BridgeGuest, desired: Desired, observed: Observed) -> Iterator[Step]:
    link, owner = observed.links.get(guest.tap), desired.owner_of(guest)
    if link is not None and link.owner != owner:
        # The VM's previous VMM was jailed and the next is not, or the reverse: the tap is unused.
        yield DeleteLink(guest.tap)
        link = None
    if link is None:
        yield SetNeighbour(desired.bridge, guest.address, guest.mac)
        yield CreateTap(guest.tap, owner)
    if link is None or link.master is None or not link.isolated:
        yield AttachTap(guest.tap, desired.bridge)
    if link is None or not link.up:
        yield SetUp(guest.tap)
