"""What a VM may reach: nothing, everything outside, or what is on a list. Pure.

An entry of the list is a host name ("deb.debian.org"), every name below one ("*.debian.org"), an
IPv4 address or a CIDR block ("192.0.2.0/24"), each with or without a port ("example.org:443").
A name below ``vm`` ("db.vm:5432", "*.vm") is another VM, whatever its address is. "*" alone is
everything outside: what is globally routable. Other VMs are not part of it, and neither are the
local networks of the host. An entry for a network of these (192.168.1.0/24) names it literally, and
that is the only way to reach one: neither "*" nor a name nor a wider network (0.0.0.0/0) leads
there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from shared.addresses.outside import is_special
from shared.contract.port import parse_port
from shared.errors import BangerError, Code

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
NAME_LARGEST = 253
"""Characters of a host name without the final dot (RFC 1035 section 2.3.4)."""
ENTRIES_MOST = 1024
"""Entries of one VM's list: each is an element of the kernel's sets."""
_SHOWN = 80
"""Characters of a bad entry that an error quotes."""
EXAMPLES = "e.g. deb.debian.org:443, *.example.org, 192.0.2.0/24, db.vm:5432"
EVERYTHING = "*"
_GUESTS = ".vm"


@dataclass(frozen=True)
class Allowed:
    """One entry: a name or a network, never both. ``port`` 0 means every port."""

    name: str = ""
    network: IPv4Network | None = None
    port: int = 0

    def covers(self, name: str) -> bool:
        """Whether this entry allows to look up ``name`` (lower case, no final dot)."""
        if self.name.startswith("*."):
            return name.endswith(self.name[1:]) and name != self.name[2:]
        return bool(self.name) and name == self.name

    @property
    def is_guest(self) -> bool:
        """Whether the entry is about other VMs and not about the outside."""
        return self.name.endswith(_GUESTS)

    @property
    def is_literal(self) -> bool:
        """Whether the entry names addresses that are not globally routable."""
        return self.network is not None and is_special(self.network)

    @property
    def in_everything(self) -> bool:
        """Whether everything outside has what the entry is about."""
        return not (self.is_guest or self.is_literal)

    def covers_guest(self, name: str) -> bool:
        """Whether this entry allows to reach the VM ``name`` (without the zone)."""
        return self.is_guest and self.covers(name + _GUESTS)


@dataclass(frozen=True)
class Egress:
    """The policy of a VM. With ``nat``: everything outside, and the VMs and local networks on
    ``allow``. Without it: what is on ``allow``, and nothing when that is empty."""

    nat: bool = False
    allow: tuple[str, ...] = ()

    def __str__(self) -> str:
        return show_egress(self.nat, self.allow)


def show_egress(nat: bool, allow: Sequence[str]) -> str:
    """The policy of these fields of a VM, as ``parse_egress`` reads it."""
    if nat and not allow:
        return "nat"
    entries = (EVERYTHING, *allow) if nat else allow
    return f"allow={','.join(entries)}" if entries else "none"


def parse_egress(text: str) -> Egress:
    """``none``, ``nat`` or ``allow=ENTRY,ENTRY``. Raises ``invalid``."""
    kind, _, entries = text.partition("=")
    match kind, bool(entries):
        case "none", False:
            return Egress()
        case "nat", False:
            return Egress(nat=True)
        case "allow", True:
            listed = [entry.strip() for entry in entries.split(",")]
            nat, others = EVERYTHING in listed, [entry for entry in listed if entry != EVERYTHING]
            return Egress(nat=nat, allow=check_egress(nat, others))
    raise BangerError(
        Code.INVALID,
        f"{text!r} is not a valid egress policy",
        hint="use none, nat, or allow=HOST[:PORT],CIDR[:PORT],VM.vm[:PORT]",
    )


def check_list(entries: Iterable[str]) -> tuple[str, ...]:
    """The list as it is stored: in lower case, each entry once.

    Raises:
        BangerError: ``invalid`` for a bad entry, and for more than ``ENTRIES_MOST``.
    """
    allow = tuple(dict.fromkeys(entry.strip().lower() for entry in entries))
    if len(allow) > ENTRIES_MOST:
        raise BangerError(
            Code.INVALID,
            f"an egress list has at most {ENTRIES_MOST} entries, not {len(allow)}",
            hint="use networks (192.0.2.0/24) and names such as *.example.org",
        )
    for entry in allow:
        parse_allowed(entry)
    return allow


def check_egress(nat: bool, entries: Iterable[str]) -> tuple[str, ...]:
    """The list of a VM whose policy has ``nat``, as it is stored.

    The command line, the api and nat all use this one check.

    Raises:
        BangerError: as ``check_list``, and ``invalid`` for a part of the outside beside all of it.
    """
    allow = check_list(entries)
    outside = [entry for entry in allow if nat and parse_allowed(entry).in_everything]
    if outside:
        raise BangerError(
            Code.INVALID,
            "an egress policy is everything outside or a list, not both: "
            + shown(", ".join(outside)),
            hint="use --egress nat or --egress allow=...; other VMs and local networks "
            "may be beside all of the outside: allow=*,NAME.vm,192.168.1.0/24",
        )
    return allow


def shown(text: str) -> str:
    """``text``, cut to what an error has room for."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def parse_allowed(entry: str) -> Allowed:
    """One entry of the list. Raises ``invalid``."""
    host, colon, port = entry.lower().partition(":")
    number = parse_port(port) if colon else 0
    if number is None:
        raise BangerError(
            Code.INVALID,
            f"{shown(port)!r} in {shown(entry)!r} is not a valid port: use 1 to 65535",
            hint=EXAMPLES,
        )
    host = host.removesuffix(".")
    try:
        return Allowed(network=IPv4Network(host, strict=False), port=number)
    except ValueError:
        pass
    numeric = host.rpartition(".")[
        2
    ].isdigit()  # no host name ends in digits only (RFC 3696 section 2)
    if len(host) > NAME_LARGEST or numeric or not _NAME.fullmatch(host):
        raise BangerError(
            Code.INVALID,
            f"{shown(entry)!r} is neither a host name nor an IPv4 address or network",
            hint=EXAMPLES,
        )
    return Allowed(name=host, port=number)
