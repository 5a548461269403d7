"""What the host's network should be (``Desired``) and what it is (``Observed``).

nat recognizes its own objects by marks that the kernel sets together with the object, so that a
crash between two steps never leaves an object whose owner is unknown:

- the bridge has the configured name *and* a hardware address made from the state directory;
- a tap is called ``bgr`` + the VM's id, belongs to the user served or to one of the user's jails,
  and is a port of the bridge or of none;
- rules are in the tables ``inet banger`` and ``bridge banger``. Where the bridge's name is not the
  default one, theirs is ``banger-`` and that name.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
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
from services.nat.ruleset.rules import BridgeFacts, Ruleset, render
from services.nat.ruleset.sets import EVERYWHERE, AllowedAddress, Member
from shared.addresses.subnet import gateway_of
from shared.addresses.ula import ula_address
from shared.contract.egress import Allowed
from shared.contract.messages.vm import Publication
from shared.errors import BangerError, Code

IFNAME_MAX = 15
"""Longest interface name in characters: IFNAMSIZ less the final NUL (netdevice(7))."""

MAC_MARK = "06:62:67:72:"
"""The hardware address of every banger's bridge begins so."""
_TAP_PREFIX = "bgr"
_TAP = re.compile(r"bgr[0-9a-f]{12}")
_BRIDGE = re.compile(r"[a-z][a-z0-9-]{0,14}")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_VM_ID = re.compile(r"[0-9a-f]{12}")


def tap_name(vm_id: str) -> str:
    """The name of a VM's tap: ``bgr`` and the 12-digit id, the 15 characters the kernel allows."""
    return _TAP_PREFIX + vm_id


def is_vm_id(text: str) -> bool:
    return _VM_ID.fullmatch(text) is not None


def is_tap_name(name: str) -> bool:
    return _TAP.fullmatch(name) is not None


def bridge_mac(state_directory: str) -> str:
    """The bridge's hardware address: ``06:62:67:72`` ("bgr") and two bytes of the installation.

    It is fixed for a second reason: a bridge without one takes the lowest address of its ports,
    which changes when guests start and stop, and every guest's ARP cache would be wrong then.
    Guests' addresses begin with 02 (shared/addresses/mac.py), so the two are never the same.
    """
    tag = hashlib.sha256(state_directory.encode()).digest()
    return f"{MAC_MARK}{tag[0]:02x}:{tag[1]:02x}"


@dataclass(frozen=True)
class BridgeGuest:
    """A VM that needs a tap now. ``mac`` is lower case with colons.

    With ``nat`` the guest reaches everything outside, without it what ``allow`` lists."""

    id: str
    address: IPv4Address
    mac: str
    nat: bool
    allow: tuple[Allowed, ...] = ()
    publish: tuple[Publication, ...] = ()
    name: str = ""
    """The name by which other VMs' egress lists refer to it."""
    jail: int | None = None
    """The uid that opens the tap in place of the user's, for a VM whose VMM is jailed."""

    def __post_init__(self) -> None:
        """Refuse an id or MAC that is not exactly right: both become part of names and rules."""
        if not is_vm_id(self.id) or not _MAC.fullmatch(self.mac):
            raise BangerError(
                Code.INVALID, f"VM {self.id!r} has no usable id or MAC address ({self.mac!r})"
            )

    @property
    def tap(self) -> str:
        return tap_name(self.id)

    @property
    def names(self) -> tuple[Allowed, ...]:
        """The entries of ``allow`` that are names of the outside; empty where ``nat`` is set."""
        names = (entry for entry in self.allow if entry.name and not entry.is_guest)
        return () if self.nat else tuple(names)

    @property
    def reaches_guests(self) -> bool:
        """Whether it may reach other guests."""
        return any(entry.is_guest for entry in self.allow)

    @property
    def routed(self) -> bool:
        """Whether the host has to forward packets for it."""
        return self.nat or bool(self.allow) or any(not _is_loopback(p) for p in self.publish)

    @property
    def on_loopback(self) -> bool:
        """Whether a port of 127.0.0.0/8 is published for it."""
        return any(_is_loopback(p) or p.host_address == EVERYWHERE for p in self.publish)


def tag_of(vm_id: str, entry: Allowed) -> str:
    """The tag of an egress entry in the kernel, for comments of set elements. A comment may have
    128 characters, and a name up to 253."""
    text = f"{vm_id} {entry.name} {entry.port}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_loopback(publication: Publication) -> bool:
    return IPv4Address(publication.host_address).is_loopback


@dataclass(frozen=True)
class Desired:
    """The network that should be there. ``owner`` is the uid that opens the taps."""

    bridge: str
    mac: str
    subnet: IPv4Network
    owner: int
    guests: tuple[BridgeGuest, ...] = ()
    jails: range = range(0)
    """Uids of jailed VMMs, which may own taps too."""
    dns_port: int = 42069
    """Where dns listens on the bridge's address; guests reach it as port 53."""
    prefix: IPv6Network | None = None
    """The /64 of the guests' IPv6 addresses; None where they have none."""
    allowed: tuple[AllowedAddress, ...] = ()
    """Addresses that names on the guests' lists resolved to."""
    private: bool = False
    """Whether of the host's programs only those of ``owner`` and root reach guests."""
    dns_holder: int | None = None
    """The uid of another user who has the port of dns on the bridge's address."""
    cut_off: tuple[str, ...] = ()
    """Ids of VMs whose rows are unusable. Their taps stay, because a VMM cannot open another one,
    and every frame from them is dropped."""

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
        """The subnets of the guests' addresses."""
        return (self.subnet, self.prefix) if self.prefix else (self.subnet,)

    @property
    def own_addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """The addresses of the bridge."""
        return (self.gateway, self.gateway6) if self.gateway6 else (self.gateway,)

    def address6_of(self, guest: BridgeGuest) -> IPv6Interface | None:
        if self.prefix is None:
            return None
        return IPv6Interface(f"{ula_address(self.prefix, self.subnet, guest.address)}/64")

    def owner_of(self, guest: BridgeGuest) -> int:
        return self.owner if guest.jail is None else guest.jail

    def with_guests(
        self,
        guests: tuple[BridgeGuest, ...],
        allowed: tuple[AllowedAddress, ...] = (),
        cut_off: Iterable[str] = (),
    ) -> "Desired":
        return replace(self, guests=guests, allowed=allowed, cut_off=tuple(cut_off))

    @property
    def cut_off_taps(self) -> list[str]:
        return [tap_name(vm_id) for vm_id in self.cut_off]

    @property
    def rules(self) -> Ruleset:
        facts = BridgeFacts(
            self.bridge,
            self.gateway,
            self.dns_port,
            self.gateway6,
            dns_owner=self.owner,
            dns_taken=self.dns_holder is not None,
            private=self.private,
        )
        return render(facts, self.members, self.allowed, self.cut_off_taps)

    @property
    def members(self) -> list[Member]:
        return [self._member(guest) for guest in self.guests]

    @property
    def proxy_arp(self) -> bool:
        """Whether any guest may reach another."""
        return any(guest.reaches_guests for guest in self.guests)

    def _guests_for(self, guest: BridgeGuest) -> Iterator[tuple[int, IPv4Network]]:
        """(port, address) of every running guest that is on the list of this one."""
        for entry in guest.allow:
            for other in self.guests:
                if entry.covers_guest(other.name):
                    yield entry.port, IPv4Network(other.address)

    def _member(self, guest: BridgeGuest) -> Member:
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
    """The address that a link derives from its hardware address (RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return IPv6Address((0xFE80 << 112) | int.from_bytes(identifier))


@dataclass(frozen=True)
class HostInterface:
    """A network interface of the host. ``kind`` is "tun" for taps; only taps have an ``owner``.

    ``isolated``: a port whose frames all pass the rules and never reach another such port."""

    name: str
    kind: str
    mac: str
    up: bool
    master: str | None = None
    owner: int | None = None
    isolated: bool = False


@dataclass(frozen=True)
class Route:
    """A route of the main table with a destination; ``device`` is empty for an unreachable one."""

    destination: IPv4Network
    device: str


@dataclass(frozen=True)
class Observed:
    """The host's network as it is.

    ``rules`` is the digest in nat's tables (None: there are no tables, or they disagree);
    ``tables`` whether any table of nat exists; ``other_nats`` whether another nat has tables;
    ``forwarding_saved`` whether nat switched ip_forward on and has to restore it; ``localnet`` the
    bridge's route_localnet; ``proxy_arp`` whether the host answers ARP for one guest to another;
    ``dropped`` the number of spoofed frames of each tap since the rules were loaded.
    """

    links: Mapping[str, HostInterface] = field(default_factory=dict)
    addresses: frozenset[IPv4Interface | IPv6Interface] = frozenset()
    routes: tuple[Route, ...] = ()
    tables: bool = False
    other_nats: bool = False
    rules: str | None = None
    forwarding: bool = False
    forwarding_saved: bool = False
    localnet: bool = False
    proxy_arp: bool = False
    firewalls: Firewalls = field(default_factory=Firewalls)
    dropped: Mapping[str, int] = field(default_factory=dict)
