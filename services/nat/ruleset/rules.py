"""banger's nftables rules as text, rendered whole and loaded in one transaction.

The text deletes both tables and creates them again. ``nft -f`` hands that to the kernel as one
transaction (nft(8)), so no packet ever sees half a table. Connections are not cut, because
conntrack is not part of a table. Everything that differs between VMs is an element of a named set
(sets.py), so the rules themselves never change.

Tables are the host's, and more than one nat may run there: one for each user. So the name of a
bridge other than the default one is part of the tables' names (``table_of``).

There are two tables, because two layers decide:

- ``bridge banger`` sees each tap's frames, ARP included. A guest can send only with its own
  hardware address and only from its own IP addresses. Other frames are dropped and counted as
  spoofed. Probes for an address of one's own (DHCP, RFC 5227) are dropped without being counted.
  So are VLAN tags, and IPv6 where guests have none.
- ``inet banger`` sees packets that leave the bridge. Of the host, a guest reaches DNS only. Of the
  outside, which is what is globally routable, it reaches everything when it is in the set ``nat``,
  else what its egress list has. Of other networks, it reaches those that its list names literally.
  Of the other guests, it reaches those on its list, routed by the host. Everything else is rejected
  with an ICMP error, so that a program in the guest fails at once. For the outside the rejection
  comes before routing, because no packet gets any further where ip_forward is off.

These rules do not isolate guests from each other *on* the bridge. The bridge's ``isolated`` port
flag does: it covers floods and broadcasts, and holds when another program flushes every nftables
table. When one guest is on the list of another, the host answers ARP for both (proxy_arp_pvlan) and
routes their packets, so that these rules see them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from services.nat.ruleset.sets import AllowedAddress, Member, bridge_sets, inet_sets

DEFAULT_TABLE, DEFAULT_BRIDGE = "banger", "br-banger"
FAMILIES = ("inet", "bridge")
_MARK = "digest_"
FLOOD = 400
"""Packets per second that one guest may send to the host, with bursts of twice as many; the rest is
dropped. This is twice what dns answers (services/dns/forward/rate.py), so that dns notices a flood
first and logs it."""
CONNECTIONS = 8192
"""Connections that one guest may have open through the host. Linux tracks 262,144 for the whole
host (nf_conntrack_max, with some GB of memory), and one port scanner would use them all."""


@dataclass(frozen=True)
class Ruleset:
    """Text for ``nft -f`` and the digest of it that each loaded table carries."""

    text: str
    digest: str


@dataclass(frozen=True)
class BridgeFacts:
    """What all rules refer to: the bridge, the host's address on it, and the port of dns there."""

    bridge: str
    gateway: IPv4Interface
    dns_port: int
    gateway6: IPv6Interface | None = None
    """None: guests have no IPv6, and their IPv6 packets are dropped."""
    dns_owner: int = 0
    """The uid of dns: nobody else's socket answers at its port."""
    dns_taken: bool = False
    """Whether another user has the port: guests are not led there then."""
    private: bool = False
    """Whether programs of other users than ``dns_owner`` and root are kept from guests."""


def table_of(bridge: str) -> str:
    """The name of both tables of the nat that has this bridge."""
    return DEFAULT_TABLE if bridge == DEFAULT_BRIDGE else f"{DEFAULT_TABLE}-{bridge}"


def is_table(name: str) -> bool:
    """Whether a table with this name is that of a nat."""
    return name == DEFAULT_TABLE or name.startswith(f"{DEFAULT_TABLE}-")


def deletion(table: str) -> str:
    """Removes both tables. Each is declared first, because deleting an absent table is an error."""
    return "".join(f"table {f} {table}\ndelete table {f} {table}\n" for f in FAMILIES)


def render(
    facts: BridgeFacts,
    members: Sequence[Member],
    allowed: Sequence[AllowedAddress] = (),
    cut_off: Sequence[str] = (),
) -> Ruleset:
    """The whole ruleset for these members; the same members in any order give the same digest.
    Every frame from the taps ``cut_off`` is dropped.

    ``allowed`` is not part of the digest, because these elements expire on their own. The entries
    that they belong to are.
    """
    ordered = sorted(members, key=lambda m: m.tap)
    lists = repr([(m.tap, sorted(m.tags)) for m in ordered])
    without_allowed = _body(facts, ordered, (), cut_off)
    digest = hashlib.sha256((without_allowed + lists).encode()).hexdigest()[:32]
    text = _body(facts, ordered, allowed, cut_off).replace("@digest@", digest)
    return Ruleset(deletion(table_of(facts.bridge)) + text, digest)


def loaded_digest(chains: list[tuple[str, str]]) -> str | None:
    """The digest in banger's tables, given as (family, chain name) pairs.

    The name of an empty chain holds it: unlike a comment, nft's JSON output has had chain names
    since its first version. None when a table lacks the digest or the two tables disagree.
    """
    found = {(f, c.removeprefix(_MARK)) for f, c in chains if c.startswith(_MARK)}
    digests = {digest for _, digest in found}
    return digests.pop() if len(found) == len(FAMILIES) and len(digests) == 1 else None


def _body(
    facts: BridgeFacts,
    members: Sequence[Member],
    allowed: Sequence[AllowedAddress],
    cut_off: Sequence[str],
) -> str:
    table = table_of(facts.bridge)
    return (
        f"table inet {table} {{\n\tchain {_MARK}@digest@ {{ }}\n{inet_sets(members, allowed)}"
        f"{_translation(facts)}{_egress(facts)}{_to_host(facts)}{_to_guest(facts)}}}\n"
        f"table bridge {table} {{\n\tchain {_MARK}@digest@ {{ }}\n{bridge_sets(members, cut_off)}"
        f"{_SPOOFED}{_frames6(facts, members)}{_FRAMES}}}\n"
    )


def _translation(facts: BridgeFacts) -> str:
    """Address translation: DNS for guests, published ports, and masquerading.

    A guest reaches no published port, because that would be a way to other guests. Packets for
    127.0.0.0/8 are translated only when a program on the host sends them, and leave with the
    bridge's address as their source.
    """
    bridge, gateway = facts.bridge, facts.gateway.ip
    return f"""\tchain redirection {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
{_to_dns(facts)}\t\tiifname != "{bridge}" ip daddr != 127.0.0.0/8 jump publication
\t}}
\tchain host_output {{
\t\ttype nat hook output priority -100; policy accept;
\t\tmeta nfproto ipv4 jump publication
\t}}
\tchain publication {{
\t\tfib daddr type != local return
\t\tdnat ip to meta l4proto . ip daddr . th dport map @published
\t\tdnat ip to meta l4proto . th dport map @everywhere
\t}}
\tchain postrouting {{
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\toifname "{bridge}" ip saddr 127.0.0.0/8 snat ip to {gateway}
\t\toifname != "{bridge}" ip saddr @nat masquerade
\t\toifname != "{bridge}" ip saddr @listed masquerade
\t}}
"""


_TO_SPECIAL = """\tchain to_special {
\t\tip saddr . ip daddr @literal accept
\t\tmeta l4proto { tcp, udp } ip saddr . ip daddr . th dport @literal_services accept
\t\tjump refuse
\t}
\tchain refuse {
\t\treject with icmpx type admin-prohibited
\t}
"""


def _to_dns(facts: BridgeFacts) -> str:
    if facts.dns_taken:
        return ""
    guest = f'\t\tiifname "{facts.bridge}" ip daddr {facts.gateway.ip}'
    target = f"dport 53 redirect to :{facts.dns_port}"
    return "".join(f"{guest} {protocol} {target}\n" for protocol in ("udp", "tcp"))


def _egress(facts: BridgeFacts) -> str:
    """What guests may send to the outside. ``raw`` runs before any address translation.

    A packet whose input interface is the tap itself has bypassed the bridge and every rule for it:
    the tap was removed from the bridge, or the bridge did not handle the frame (``AS_OTHERS`` in
    links.py). IP options can name routes (RFC 791), and nothing needs them.

    Packets to the host are counted here, before dns and connection tracking see them: a flood would
    take the time of the one and fill the other, for all guests. Each packet is counted by one rule
    alone: counted twice, a guest would have half of what it may send.
    """
    bridge = facts.bridge
    return f"""\tchain raw {{
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifname @taps drop
\t\tiifname "{bridge}" ip hdrlength > 5 drop
\t\tiifname "{bridge}" ip daddr 127.0.0.0/8 drop
\t}}
\tchain prerouting {{
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname "{bridge}" ct direction original fib daddr type local meta l4proto udp jump flood
\t\tiifname "{bridge}" fib daddr type local meta l4proto != udp ct state new jump flood
\t\tiifname "{bridge}" meta nfproto ipv4 fib daddr type != local jump guest_to_outside
\t\tiifname "{bridge}" ip6 daddr != {{ fe80::/10, ff00::/8 }} fib daddr type != local jump refuse
\t}}
\tchain flood {{
\t\tupdate @asking {{ ip saddr limit rate over {FLOOD}/second burst {2 * FLOOD} packets }} drop
\t}}
\tchain guest_to_outside {{
\t\tct direction reply ct state established,related accept
\t\tip saddr . ip daddr @guests accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @guest_services accept
\t\tip daddr @special jump to_special
\t\tip saddr @nat accept
\t\tip saddr . ip daddr @networks accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @services accept
\t\tip saddr . ip daddr @named accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @named_services accept
\t\tct state established,related ip saddr . ip daddr @established accept
\t\tjump refuse
\t}}
{_TO_SPECIAL}"""


def _to_host(facts: BridgeFacts) -> str:
    """Guests reach DNS and nothing else. Nobody but guests reaches the dns port on the bridge.

    An ICMP error from a guest is accepted only for connections with that guest: one about another
    connection of the host could end it.

    Whoever binds the dns port first would answer the guests and the host's resolver. So answers
    from it leave only when the socket is of the user who runs dns, whenever it was bound.
    """
    bridge, gateway, port = facts.bridge, facts.gateway.ip, facts.dns_port
    return f"""\tchain input {{
\t\ttype filter hook input priority filter; policy accept;
\t\tiifname "{bridge}" jump guest_to_host
\t\tiifname != "lo" ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport {port} drop
\t}}
\tchain own_sockets {{
\t\ttype filter hook output priority filter; policy accept;
\t\tip saddr {gateway} udp sport {port} meta skuid != {facts.dns_owner} drop
\t\tip saddr {gateway} tcp sport {port} meta skuid != {facts.dns_owner} drop
{_private(facts)}\t}}
\tchain guest_to_host {{
\t\tct state established accept
\t\tct state related ip saddr . ct reply ip saddr @themselves accept
\t\ticmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
\t\tip6 daddr ff00::/8 drop
\t\tct status dnat ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport {port} accept
\t\tjump refuse
\t}}
"""


def _private(facts: BridgeFacts) -> str:
    owner = facts.dns_owner
    allowed = f"{{ 0, {owner} }}" if owner else "0"
    rule = f'\t\toifname "{facts.bridge}" meta skuid != {allowed} jump refuse\n'
    return rule if facts.private else ""


def _to_guest(facts: BridgeFacts) -> str:
    """The outside gets replies, and connections to ports that are still published: the next VM may
    have the address. Other guests get replies, and what their egress lists have.

    The connections that a guest opens are counted here, where only permitted ones arrive.
    """
    return f"""\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tiifname "{facts.bridge}" ct state new jump connection_limit
\t\toifname "{facts.bridge}" jump outside_to_guest
\t}}
\tchain connection_limit {{
\t\tadd @connected {{ ip saddr ct count over {CONNECTIONS} }} jump refuse
\t}}
\tchain outside_to_guest {{
\t\tiifname "{facts.bridge}" goto guest_to_guest
\t\tct direction reply ct state established accept
\t\tmeta l4proto icmp ct state related accept
\t\tct status dnat meta l4proto . ip daddr . th dport @reached accept
\t\tdrop
\t}}
\tchain guest_to_guest {{
\t\tct direction reply ct state established accept
\t\tct state related ip saddr . ct reply ip saddr @themselves accept
\t\tip saddr . ip daddr @guests accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @guest_services accept
\t\tjump refuse
\t}}
"""


def _frames6(facts: BridgeFacts, members: Sequence[Member]) -> str:
    """A guest can neither announce itself as a router (RFC 4861, RFC 6105) nor answer for another's
    address: ``@th,64,128`` is the target of a neighbour advertisement (RFC 4861 section 4.4)."""
    answers = "".join(
        f'\t\tiifname "{m.tap}" icmpv6 type nd-neighbor-advert '
        f"@th,64,128 != {{ {', '.join(f'{int(a):#x}' for a in m.addresses6)} }} goto spoofed\n"
        for m in members
        if m.addresses6
    )
    rules = f"""{answers}\t\ticmpv6 type {{ nd-router-advert, nd-redirect }} goto spoofed
\t\tiifname . ip6 saddr @addresses6 accept
\t\tip6 saddr :: icmpv6 type nd-neighbor-solicit accept
\t\tip6 saddr {{ ::, fe80::/10 }} drop
\t\tgoto spoofed
"""
    return f"\tchain from_guest6 {{\n{rules if facts.gateway6 else _DROP}\t}}\n"


_DROP = "\t\tdrop\n"

_SPOOFED = """\tchain spoofed {
\t\tcounter name iifname map @spoof_counters
\t\tdrop
\t}
"""

_FRAMES = """\tchain prerouting {
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname @silenced drop
\t\tiifname @taps jump from_guest
\t}
\tchain from_guest {
\t\tiifname . ether saddr != @macs goto spoofed
\t\tether type ip iifname . ip saddr @addresses accept
\t\tether type arp iifname . arp saddr ether . arp saddr ip @senders accept
\t\tether type ip6 goto from_guest6
\t\tip saddr 0.0.0.0 drop
\t\tarp saddr ip 0.0.0.0 drop
\t\tether type { ip, arp } goto spoofed
\t\tdrop
\t}
"""
