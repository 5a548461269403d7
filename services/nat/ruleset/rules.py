"""Our nftables rules as text: rendered whole, to be loaded in one transaction.

The text deletes both tables and makes them anew; ``nft -f`` hands that to the kernel as one
transaction (nft(8)), so no packet ever sees half a table, and connections are not cut because
conntrack is not part of it. Per-VM state is membership in named sets (sets.py), so the rules
themselves never change.

Two tables, because two layers decide:

- ``bridge banger`` sees each tap's frames, ARP included: a guest speaks only with its own
  hardware address and only from its own addresses. VLAN tags are dropped, and IPv6 where
  guests have none. What it
  sends in another's name is counted, so that it can be told; looking for an address of one's own
  (DHCP, RFC 5227) is dropped too, but no lie.
- ``inet banger`` sees what leaves the bridge: a guest reaches nothing on the host but DNS,
  nothing outside unless it is in the set ``nat`` or it is on its list, and of other guests those
  on its list, by way of the host. What is refused is refused aloud (ICMP), so that a program in the
  guest fails at once. For the outside that is done before routing: where ip_forward is off, no
  packet comes any further.

That guests do not reach each other *on* the bridge is not done here but with the bridge's own
``isolated`` port flag: it holds for floods and broadcasts too, and goes on holding when another
program flushes every nftables table. Where one is on the list of another, the host answers in ARP
for both (proxy_arp_pvlan), their packets are routed, and so come by here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from services.nat.ruleset.sets import Live, Member, bridge_sets, inet_sets

TABLE = "banger"
FAMILIES = ("inet", "bridge")
_MARK = "digest_"
FLOOD = 400
"""Packets of one guest to the host in a second, and twice as many at once; what is over it is not
looked at. Twice what dns answers (services/dns/forward/rate.py), so that dns is who tells of it."""
CONNECTIONS = 8192
"""That one guest may have open by way of the host. Linux keeps 262,144 for everybody, on a host of
some GB (nf_conntrack_max), and one program that looks for open ports would take them all."""


@dataclass(frozen=True)
class Ruleset:
    """Text for ``nft -f`` and the digest of it that each loaded table carries."""

    text: str
    digest: str


@dataclass(frozen=True)
class Ground:
    """What the rules stand on: the bridge, the host's address there, the port of dns at it."""

    bridge: str
    gateway: IPv4Interface
    dns_port: int
    gateway6: IPv6Interface | None = None
    """None: guests have no IPv6, and what they send of it is dropped."""


DELETE = "".join(f"table {f} {TABLE}\ndelete table {f} {TABLE}\n" for f in FAMILIES)
"""Removes both tables. Each is declared first, since deleting an absent table is an error."""


def render(ground: Ground, members: Sequence[Member], live: Sequence[Live] = ()) -> Ruleset:
    """The whole ruleset for these members; the same members in any order give the same digest.

    ``live`` is not part of the digest, since it goes by itself; the lists it comes from are.
    """
    ordered = sorted(members, key=lambda m: m.tap)
    lists = repr([(m.tap, sorted(m.tags)) for m in ordered])
    still = _body(ground, ordered, ())
    digest = hashlib.sha256((still + lists).encode()).hexdigest()[:32]
    return Ruleset(DELETE + _body(ground, ordered, live).replace("@digest@", digest), digest)


def loaded_digest(chains: list[tuple[str, str]]) -> str | None:
    """The digest carried by our tables, given as (family, chain name) pairs.

    An empty chain carries it in its name: unlike a comment, that is in nft's JSON output since
    its first version. None when a table lacks it or the two disagree.
    """
    found = {(f, c.removeprefix(_MARK)) for f, c in chains if c.startswith(_MARK)}
    digests = {digest for _, digest in found}
    return digests.pop() if len(found) == len(FAMILIES) and len(digests) == 1 else None


def _body(ground: Ground, members: Sequence[Member], live: Sequence[Live]) -> str:
    return (
        f"table inet {TABLE} {{\n\tchain {_MARK}@digest@ {{ }}\n{inet_sets(members, live)}"
        f"{_translation(ground)}{_egress(ground)}{_to_host(ground)}{_to_guest(ground)}}}\n"
        f"table bridge {TABLE} {{\n\tchain {_MARK}@digest@ {{ }}\n{bridge_sets(members)}"
        f"{_LIE}{_frames6(ground, members)}{_FRAMES}}}\n"
    )


def _translation(ground: Ground) -> str:
    """Where addresses are rewritten: names for guests, published ports, the way out.

    A guest reaches no published port: it would be a way to other guests. Packets for 127.0.0.0/8
    are translated only when a program of the host sends them, and leave with the bridge's address.
    """
    bridge, gateway = ground.bridge, ground.gateway.ip
    return f"""\tchain redirection {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tiifname "{bridge}" ip daddr {gateway} udp dport 53 redirect to :{ground.dns_port}
\t\tiifname "{bridge}" ip daddr {gateway} tcp dport 53 redirect to :{ground.dns_port}
\t\tiifname != "{bridge}" ip daddr != 127.0.0.0/8 jump publication
\t}}
\tchain own_programs {{
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


def _egress(ground: Ground) -> str:
    """What guests may send to the outside; ``raw`` is before any translation of addresses.

    What comes by a tap itself has gone round the bridge, and so round every rule for it: a tap that
    was taken off, or a frame that the bridge left alone (``AS_OTHERS`` in links.py). Options of IP
    name routes of their own (RFC 791), and nobody needs them.

    Questions are counted here, before dns and before connection tracking keeps them: a flood would
    take the time of the one and fill the other, for everybody.
    """
    bridge = ground.bridge
    return f"""\tchain raw {{
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifname @taps drop
\t\tiifname "{bridge}" ip hdrlength > 5 drop
\t\tiifname "{bridge}" ip daddr 127.0.0.0/8 drop
\t}}
\tchain prerouting {{
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname "{bridge}" ct direction original fib daddr type local meta l4proto udp jump flood
\t\tiifname "{bridge}" fib daddr type local ct state new jump flood
\t\tiifname "{bridge}" ip saddr != @nat fib daddr type != local jump guest_to_outside
\t\tiifname "{bridge}" ip6 daddr != {{ fe80::/10, ff00::/8 }} fib daddr type != local jump refuse
\t}}
\tchain flood {{
\t\tupdate @asking {{ ip saddr limit rate over {FLOOD}/second burst {2 * FLOOD} packets }} drop
\t}}
\tchain guest_to_outside {{
\t\tct direction reply ct state established,related accept
\t\tip saddr . ip daddr @guests accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @guest_services accept
\t\tip saddr . ip daddr @networks accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @services accept
\t\tip saddr . ip daddr @named accept
\t\tmeta l4proto {{ tcp, udp }} ip saddr . ip daddr . th dport @named_services accept
\t\tct state established,related ip saddr . ip daddr @spoken accept
\t\tjump refuse
\t}}
\tchain refuse {{
\t\treject with icmpx type admin-prohibited
\t}}
"""


def _to_host(ground: Ground) -> str:
    """Guests get names and nothing else; what others send to our dns on the bridge is dropped.

    An error (ICMP) is heard from a guest about connections with itself: one about a connection of
    the host with others would end it.
    """
    bridge, gateway, port = ground.bridge, ground.gateway.ip, ground.dns_port
    return f"""\tchain input {{
\t\ttype filter hook input priority filter; policy accept;
\t\tiifname "{bridge}" jump guest_to_host
\t\tiifname != "lo" ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport {port} drop
\t}}
\tchain guest_to_host {{
\t\tct state established accept
\t\tct state related ip saddr . ct reply ip saddr @themselves accept
\t\ticmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
\t\tip6 daddr ff00::/8 drop
\t\tct status dnat ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport {port} accept
\t\tjump refuse
\t}}
"""


def _to_guest(ground: Ground) -> str:
    """The outside gets answers, and connections to published ports, for as long as they are that:
    the next VM may have the address. Other guests get the same, and what their lists have.

    What a guest begins is counted here, where only comes what it may.
    """
    return f"""\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tiifname "{ground.bridge}" ct state new jump crowd
\t\toifname "{ground.bridge}" jump outside_to_guest
\t}}
\tchain crowd {{
\t\tadd @connected {{ ip saddr ct count over {CONNECTIONS} }} jump refuse
\t}}
\tchain outside_to_guest {{
\t\tiifname "{ground.bridge}" goto guest_to_guest
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


def _frames6(ground: Ground, members: Sequence[Member]) -> str:
    """A guest neither says it is a router (RFC 4861, RFC 6105) nor answers for the address of
    another: ``@th,64,128`` is the target of a neighbour advertisement (RFC 4861 section 4.4)."""
    answers = "".join(
        f'\t\tiifname "{m.tap}" icmpv6 type nd-neighbor-advert '
        f"@th,64,128 != {{ {', '.join(f'{int(a):#x}' for a in m.addresses6)} }} goto lie\n"
        for m in members
        if m.addresses6
    )
    allowed = f"""{answers}\t\ticmpv6 type {{ nd-router-advert, nd-redirect }} goto lie
\t\tiifname . ip6 saddr @addresses6 accept
\t\tip6 saddr :: icmpv6 type nd-neighbor-solicit accept
\t\tip6 saddr {{ ::, fe80::/10 }} drop
\t\tgoto lie
"""
    return f"\tchain from_guest6 {{\n{allowed if ground.gateway6 else _DROP}\t}}\n"


_DROP = "\t\tdrop\n"

_LIE = """\tchain lie {
\t\tcounter name iifname map @spoofed
\t\tdrop
\t}
"""

_FRAMES = """\tchain prerouting {
\t\ttype filter hook prerouting priority filter; policy accept;
\t\tiifname @taps jump from_guest
\t}
\tchain from_guest {
\t\tiifname . ether saddr != @macs goto lie
\t\tether type ip iifname . ip saddr @addresses accept
\t\tether type arp iifname . arp saddr ether . arp saddr ip @senders accept
\t\tether type ip6 goto from_guest6
\t\tip saddr 0.0.0.0 drop
\t\tarp saddr ip 0.0.0.0 drop
\t\tether type { ip, arp } goto lie
\t\tdrop
\t}
"""
