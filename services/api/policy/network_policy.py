"""What a VM may be given of the network: egress and published ports, refused before there is a row.

Pure, but for what ``first_free_port`` reads.
"""

from collections.abc import Sequence
from pathlib import Path

from shared.contract.egress import check_egress, parse_allowed
from shared.contract.messages.vm import NetworkMode, Publication, Vm
from shared.contract.publication import check_publications
from shared.errors import BangerError, Code
from shared.host.kernel_text import read_kernel_text

LITERAL_MOST = 32
"""The kernel translates the filter, to some 45 instructions for an entry with a port, and charges
them to net.core.optmem_max: 20 KiB before Linux 6.8."""
_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_CAP_NET_BIND_SERVICE = 10
"""capabilities(7), linux/capability.h."""


def allowed_in(mode: NetworkMode, *, nat: bool, allow: Sequence[str]) -> list[str]:
    """The list as it is stored.

    Raises:
        BangerError: as ``check_egress``, and ``invalid`` in user mode for a list of more than all
            of the outside and ``LITERAL_MOST`` local networks.
    """
    entries = list(check_egress(nat, allow))
    if mode == "user" and entries and not (nat and all(map(_is_literal, entries))):
        raise BangerError(
            Code.INVALID,
            "user mode cannot enforce this egress list: its network does not filter by name",
            hint="use --egress nat or none, allow=*,192.168.1.0/24 for a local network beside all "
            "of the outside, or bridge mode (docs/network.md)",
        )
    if mode == "user" and len(entries) > LITERAL_MOST:
        raise BangerError(
            Code.INVALID, f"an egress list in user mode has at most {LITERAL_MOST} local networks"
        )
    return entries


def _is_literal(entry: str) -> bool:
    return parse_allowed(entry).is_literal


def publications_in(
    mode: NetworkMode, wanted: Sequence[Publication], first_free: int
) -> list[Publication]:
    """All that a VM is to publish, as it is stored. ``first_free``: the lowest port that this user
    may bind.

    Raises:
        BangerError: as ``check_publications``, and ``denied`` in user mode for a port that is
            root's.
    """
    publications = check_publications(wanted)
    for publication in publications:
        if mode == "user" and publication.host_port < first_free:
            raise BangerError(
                Code.DENIED,
                f"only root can publish port {publication.host_port} of the host",
                hint=f"publish a port from {first_free} on, use bridge mode, or set the sysctl "
                f"net.ipv4.ip_unprivileged_port_start={publication.host_port} as root",
            )
    return publications


def published_as(words: str, vm: Vm) -> list[Publication]:
    """The publications of ``vm`` that a user means by ``words``: [HOSTADDR:]HOST:GUEST[/udp] or
    HOST alone; every address without one, both protocols without one. Raises ``not_found``."""
    ports, _, protocol = words.partition("/")
    *before, last = ports.split(":")
    found = []
    for each in vm.publish:
        host, guest = str(each.host_port), str(each.guest_port)
        ways = [([], host), ([host], guest), ([each.host_address, host], guest)]
        if (before, last) in ways and protocol in ("", each.protocol):
            found.append(each)
    if not found:
        raise BangerError(
            Code.NOT_FOUND,
            f"{vm.name} does not publish {words}",
            hint=f"list its published ports: banger vm show {vm.name}",
        )
    return found


def first_free_port() -> int:
    """The lowest port that this process may bind (ip(7)); 1 for a privileged one."""
    status = read_kernel_text("/proc/self/status")
    effective = next(line.split()[1] for line in status.split("\n") if line.startswith("CapEff:"))
    if int(effective, 16) >> _CAP_NET_BIND_SERVICE & 1:
        return 1
    return int(read_kernel_text(_UNPRIVILEGED))
