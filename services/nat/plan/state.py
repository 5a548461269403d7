"""What the host's network should be (``Desired``) and what it is (``Observed``).

What is ours is told by marks that the kernel sets together with the object, so that a crash
between two steps never leaves a thing of unknown owner:

- the bridge has our name *and* a hardware address made from the state directory;
- a tap is called ``bgr`` + the VM's id, belongs to our user or to one of our jails, and sits on
  our bridge or on none;
- rules are in the tables ``inet banger`` and ``bridge banger``.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from services.nat.ruleset.firewalls import Firewalls
from services.nat.ruleset.rules import Ground, Ruleset, render
from services.nat.ruleset.sets import EVERYWHERE, Live, Member
from shared.addresses.subnet import gateway_of
from shared.addresses.ula import ula_address
from shared.contract.egress import Allowed
from shared.contract.messages.vm import Publication
from shared.errors import BangerError, Code

IFNAME_MAX = 15
"""Longest interface name in characters: IFNAMSIZ less the final NUL (netdevice(7))."""

DEFAULT_BRIDGE = "br-banger"
_TAP_PREFIX = "bgr"
_TAP = re.compile(r"bgr[0-9a-f]{12}")
_BRIDGE = re.compile(r"[a-z][a-z0-9-]{0,14}")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_VM_ID = re.compile(r"[0-9a-f]{12}")


def tap_name(vm_id: str) -> str:
    """The name of a VM's tap: ``bgr`` and its 12-digit id, exactly the 15 the kernel allows."""
    return _TAP_PREFIX + vm_id


def is_tap_name(name: str) -> bool:
    return _TAP.fullmatch(name) is not None


def bridge_mac(state_directory: str) -> str:
    """The bridge's hardware address: ``06:62:67:72`` ("bgr") and two bytes of the installation.

    It is fixed for a second reason: a bridge without one takes the lowest address of its ports,
    which changes as guests come and go and leaves every guest's ARP cache wrong. Guests' own
    addresses begin with 02 (shared/addresses/mac.py), so the two can never be the same.
    """
    tag = hashlib.sha256(state_directory.encode()).digest()
    return f"06:62:67:72:{tag[0]:02x}:{tag[1]:02x}"


@dataclass(frozen=True)
class Guest:
    """A VM that needs a tap now. ``mac`` is lower case with colons; ``nat``: has the outside, else
    of it what is in ``allow``."""

    id: str
    address: IPv4Address
    mac: str
    nat: bool
    allow: tuple[Allowed, ...] = ()
    publish: tuple[Publication, ...] = ()
    name: str = ""
    """By which the lists of others mean it."""
    jail: int | None = None
    """The uid that opens the tap instead of the user's, of a VM whose VMM is jailed."""

    def __post_init__(self) -> None:
        """These strings end in names and rules of the kernel: refuse what is not exactly right."""
        if not _VM_ID.fullmatch(self.id) or not _MAC.fullmatch(self.mac):
            raise BangerError(
                Code.INVALID, f"VM {self.id!r} has no usable id or MAC address ({self.mac!r})"
            )

    @property
    def tap(self) -> str:
        return tap_name(self.id)

    @property
    def names(self) -> tuple[Allowed, ...]:
        """The names of the outside on its list; none where it has no need of a list."""
        names = (entry for entry in self.allow if entry.name and not entry.is_guest)
        return () if self.nat else tuple(names)

    @property
    def seeks_guests(self) -> bool:
        """Whether it may reach others on the bridge."""
        return any(entry.is_guest for entry in self.allow)

    @property
    def routed(self) -> bool:
        """Whether the host has to forward packets for it."""
        return self.nat or bool(self.allow) or any(not _is_loopback(p) for p in self.publish)

    @property
    def on_loopback(self) -> bool:
        """Whether a port of 127.0.0.0/8 leads to it."""
        return any(_is_loopback(p) or p.host_address == EVERYWHERE for p in self.publish)


def tag_of(vm_id: str, entry: Allowed) -> str:
    """What a name on a VM's list is known by in the kernel, where a comment may have 128
    characters and a name has up to 253."""
    text = f"{vm_id} {entry.name} {entry.port}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_loopback(publication: Publication) -> bool:
    return IPv4Address(publication.host_address).is_loopback


@dataclass(frozen=True)
class Desired:
    """The network that should be there. ``owner`` is the uid that may open the taps."""

    bridge: str
    mac: str
    subnet: IPv4Network
    owner: int
    guests: tuple[Guest, ...] = ()
    jails: range = range(0)
    """Uids of jailed VMMs, who may own taps too."""
    dns_port: int = 42069
    """Where dns listens on the bridge's address; guests reach it as port 53."""
    prefix: IPv6Network | None = None
    """Of the guests' IPv6 addresses, a /64; None: they have none."""
    live: tuple[Live, ...] = ()
    """Addresses that names on the guests' lists have led to."""

    def __post_init__(self) -> None:
        if not _BRIDGE.fullmatch(self.bridge):
            raise BangerError(
                Code.INVALID,
                f"{self.bridge!r} cannot be the name of a bridge",
                hint=f"use at most {IFNAME_MAX} of a-z 0-9 -, starting with a letter",
            )
        if not 8 <= self.subnet.prefixlen <= 29:
            raise BangerError(
                Code.INVALID,
                f"the bridge subnet {self.subnet} has no room for guests, or is far too wide",
                hint="use a prefix length of 8 to 29, like 10.77.0.0/24",
            )

    @property
    def gateway(self) -> IPv4Interface:
        """The host's own address on the bridge: the subnet's first."""
        return IPv4Interface(f"{gateway_of(self.subnet)}/{self.subnet.prefixlen}")

    @property
    def gateway6(self) -> IPv6Interface | None:
        return IPv6Interface(f"{self.prefix[1]}/64") if self.prefix else None

    @property
    def subnets(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Where guests have their addresses."""
        return (self.subnet, self.prefix) if self.prefix else (self.subnet,)

    @property
    def own_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """What the bridge has."""
        return (self.gateway, self.gateway6) if self.gateway6 else (self.gateway,)

    def address6_of(self, guest: Guest) -> IPv6Interface | None:
        if self.prefix is None:
            return None
        return IPv6Interface(f"{ula_address(self.prefix, self.subnet, guest.address)}/64")

    def owner_of(self, guest: Guest) -> int:
        return self.owner if guest.jail is None else guest.jail

    def with_guests(self, guests: tuple[Guest, ...], live: tuple[Live, ...] = ()) -> "Desired":
        return replace(self, guests=guests, live=live)

    @property
    def rules(self) -> Ruleset:
        ground = Ground(self.bridge, self.gateway, self.dns_port, self.gateway6)
        return render(ground, self.members, self.live)

    @property
    def members(self) -> list[Member]:
        return [self._member(guest) for guest in self.guests]

    @property
    def joined(self) -> bool:
        """Whether any guest may reach another."""
        return any(guest.seeks_guests for guest in self.guests)

    def _guests_for(self, guest: Guest) -> Iterator[tuple[int, IPv4Network]]:
        """(port, address) of every guest there now that is on the list of this one."""
        for entry in guest.allow:
            for other in self.guests:
                if entry.covers_guest(other.name):
                    yield entry.port, IPv4Network(other.address)

    def _member(self, guest: Guest) -> Member:
        address6 = self.address6_of(guest)
        return Member(
            tap=guest.tap,
            mac=guest.mac,
            address=guest.address,
            nat=guest.nat,
            outside=tuple((e.port, e.network) for e in guest.allow if e.network is not None),
            guests=tuple(self._guests_for(guest)),
            tags=tuple(tag_of(guest.id, entry) for entry in guest.names),
            publish=guest.publish,
            addresses6=(address6.ip, link_local(guest.mac)) if address6 else (),
        )


def link_local(mac: str) -> IPv6Address:
    """The address a link gives itself from its hardware address (RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return IPv6Address((0xFE80 << 112) | int.from_bytes(identifier))


@dataclass(frozen=True)
class Link:
    """An interface as the kernel has it. ``kind`` is "tun" for taps; ``owner`` of a tap only.

    ``isolated``: a port all of whose frames go by the rules, and none to other such ports."""

    name: str
    kind: str
    mac: str
    up: bool
    master: str | None = None
    owner: int | None = None
    isolated: bool = False


@dataclass(frozen=True)
class Route:
    """A route of the main table with a destination; ``device`` is empty for unreachable ones."""

    destination: IPv4Network
    device: str


@dataclass(frozen=True)
class Observed:
    """The host's network as it is.

    ``rules`` is the digest written in our tables (None: there are none, or they disagree);
    ``tables`` says whether any table of ours exists; ``lent`` whether forwarding is on because
    of us, to be given back; ``localnet`` is the bridge's route_localnet, ``joined`` whether the
    host answers in ARP for guests to each other;
    ``dropped`` frames of each tap since the rules were loaded.
    """

    links: Mapping[str, Link] = field(default_factory=dict)
    addresses: frozenset[IPv4Interface | IPv6Interface] = frozenset()
    routes: tuple[Route, ...] = ()
    tables: bool = False
    rules: str | None = None
    forwarding: bool = False
    lent: bool = False
    localnet: bool = False
    joined: bool = False
    firewalls: Firewalls = field(default_factory=Firewalls)
    dropped: Mapping[str, int] = field(default_factory=dict)
