"""Our nftables rules as text: rendered whole, to be loaded in one transaction.

The text deletes both tables and makes them anew; ``nft -f`` hands that to the kernel as one
transaction (nft(8)), so no packet ever sees half a table, and connections are not cut because
conntrack is not part of it. Per-VM state is membership in named sets, so the rules themselves
never change.

Two tables, because two layers decide:

- ``bridge banger`` sees each tap's frames, ARP included: a guest speaks only with its own
  hardware address and only from its own IPv4 address. IPv6 and VLAN tags are dropped.
- ``inet banger`` sees what leaves the bridge: a guest reaches nothing on the host but DNS,
  nothing outside unless it is in the set ``nat``, and no other guest by way of the host. What
  is refused is refused aloud (ICMP), so that a program in the guest fails at once. For the
  outside that is done before routing: where ip_forward is off, no packet comes any further.

That guests do not reach each other *on* the bridge is not done here but with the bridge's own
``isolated`` port flag: it holds for floods and broadcasts too, and goes on holding when another
program flushes every nftables table.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address

TABLE = "banger"
FAMILIES = ("inet", "bridge")
_MARK = "digest_"


@dataclass(frozen=True)
class Member:
    """What binds a tap to its guest. All strings are checked before they come here."""

    tap: str
    mac: str
    address: IPv4Address
    nat: bool


@dataclass(frozen=True)
class Ruleset:
    """Text for ``nft -f`` and the digest of it that each loaded table carries."""

    text: str
    digest: str


DELETE = "".join(f"table {f} {TABLE}\ndelete table {f} {TABLE}\n" for f in FAMILIES)
"""Removes both tables. Each is declared first, since deleting an absent table is an error."""


def render(bridge: str, gateway: IPv4Address, members: tuple[Member, ...]) -> Ruleset:
    """The whole ruleset for these members; the same members in any order give the same text."""
    ordered = sorted(members, key=lambda m: m.tap)
    body = _inet_rules(bridge, gateway, ordered) + _bridge_rules(ordered)
    digest = hashlib.sha256(body.encode()).hexdigest()[:32]
    return Ruleset(DELETE + body.replace("@digest@", digest), digest)


def loaded_digest(chains: list[tuple[str, str]]) -> str | None:
    """The digest carried by our tables, given as (family, chain name) pairs.

    An empty chain carries it in its name: unlike a comment, that is in nft's JSON output since
    its first version. None when a table lacks it or the two disagree.
    """
    found = {(f, c.removeprefix(_MARK)) for f, c in chains if c.startswith(_MARK)}
    digests = {digest for _, digest in found}
    return digests.pop() if len(found) == len(FAMILIES) and len(digests) == 1 else None


def _set(name: str, key: str, elements: list[str]) -> str:
    filled = f"\n\t\telements = {{ {', '.join(elements)} }}" if elements else ""
    return f"\tset {name} {{\n\t\ttype {key}{filled}\n\t}}\n"


def _inet_rules(bridge: str, gateway: IPv4Address, members: list[Member]) -> str:
    outside = _set("nat", "ipv4_addr", [str(m.address) for m in members if m.nat])
    return f"""table inet {TABLE} {{
\tchain {_MARK}@digest@ {{ }}
{outside}\tchain prerouting {{
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname "{bridge}" ip saddr != @nat fib daddr type != local jump refuse
\t}}
\tchain refuse {{
\t\treject with icmpx type admin-prohibited
\t}}
\tchain input {{
\t\ttype filter hook input priority filter; policy accept;
\t\tiifname "{bridge}" jump guest_to_host
\t}}
\tchain guest_to_host {{
\t\tct state established,related accept
\t\tip daddr {gateway} udp dport 53 accept
\t\tip daddr {gateway} tcp dport 53 accept
\t\tjump refuse
\t}}
\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\toifname "{bridge}" jump outside_to_guest
\t}}
\tchain outside_to_guest {{
\t\tct state established,related accept
\t\tdrop
\t}}
\tchain postrouting {{
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\tip saddr @nat oifname != "{bridge}" masquerade
\t}}
}}
"""


def _bridge_rules(members: list[Member]) -> str:
    taps = _set("taps", "ifname", [f'"{m.tap}"' for m in members])
    macs = _set("macs", "ifname . ether_addr", [f'"{m.tap}" . {m.mac}' for m in members])
    addresses = _set(
        "addresses", "ifname . ipv4_addr", [f'"{m.tap}" . {m.address}' for m in members]
    )
    senders = _set(
        "senders",
        "ifname . ether_addr . ipv4_addr",
        [f'"{m.tap}" . {m.mac} . {m.address}' for m in members],
    )
    return f"""table bridge {TABLE} {{
\tchain {_MARK}@digest@ {{ }}
{taps}{macs}{addresses}{senders}\tchain prerouting {{
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname @taps jump from_guest
\t}}
\tchain from_guest {{
\t\tiifname . ether saddr != @macs drop
\t\tether type ip iifname . ip saddr @addresses accept
\t\tether type arp iifname . arp saddr ether . arp saddr ip @senders accept
\t\tdrop
\t}}
}}
"""
