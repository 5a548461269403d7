"""The network mode of VMs, and what the other mode would add."""

import os
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor.finding import ok, warn
from cli.doctor.services import ask
from shared.config import Config
from shared.contract.verbs import nat
from shared.errors import BangerError
from shared.host.socket_table import open_sockets, read_table
from shared.paths import Paths
from shared.vmm.info import Finding

if TYPE_CHECKING:
    from shared.contract.messages.network import NatStatus

ADDRESSES_SHOWN = 3
RESOLV_CONF = Path("/etc/resolv.conf")
BRIDGE_WOULD_ADD = (
    "bridge mode would add egress lists with names, and connections and names between guests"
)


def network(paths: Paths, config: Config) -> Iterator[Finding]:
    if config.network_mode == "user":
        subnet, others = config.user_network, foreign_addresses(config.user_network)
        mode = f"user mode, without privileges, VMs in {subnet}"
        yield in_use(mode, others) if others else ok("network", f"{mode}; {BRIDGE_WOULD_ADD}")
        with suppress(OSError):
            yield from guest_names(RESOLV_CONF.read_text(errors="replace"))
        return
    try:
        status = ask(paths, nat.STATUS())
    except BangerError:
        status = None  # the check of the services reports a missing nat
    yield bridge(f"bridge mode: {config.nat.bridge}, {config.nat.subnet}", status)


def in_use(mode: str, others: list[str]) -> Finding:
    """Other users' programs have addresses that are for VMs: a VM's port can be theirs."""
    shown = ", ".join(others[:ADDRESSES_SHOWN])
    return warn(
        "network",
        f"{mode}; programs of other users listen there: {shown}",
        "set another user_subnet within 127.0.0.0/8 for new VMs (docs/internals.md)",
    )


def foreign_addresses(subnet: IPv4Network) -> list[str]:
    """Addresses in ``subnet`` at which sockets of other users wait for packets."""
    found = {
        IPv4Address(row.local_address)
        for protocol in ("tcp", "udp")
        for row in open_sockets(protocol, read_table(Path(f"/proc/net/{protocol}")))
        if row.uid != os.geteuid() and IPv4Address(row.local_address) in subnet
    }
    return [str(address) for address in sorted(found)]


def guest_names(resolv_conf: str) -> Iterator[Finding]:
    """Whether guests of user mode can resolve names: QEMU passes their questions, which come by
    IPv4, to the first IPv4 resolver of resolv.conf(5) alone (libslirp, get_dns_addr)."""
    lines = [line.split() for line in resolv_conf.splitlines()]
    servers = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    if servers and all(":" in server for server in servers):
        yield warn(
            "guest names",
            f"{RESOLV_CONF} names IPv6 resolvers only ({', '.join(servers[:3])}), and in user mode "
            "only IPv4 ones are asked: guests with --nat resolve no names",
            f"run a resolver on 127.0.0.1, such as systemd-resolved, and name it in {RESOLV_CONF}",
        )


def bridge(mode: str, status: "NatStatus | None") -> Finding:
    """``status`` is nat's own, None without an answer. Its ``problem`` says what nat could not do,
    or which firewall of the host is in the way, and what to run."""
    problem = status.problem if status else ""
    if problem:
        return warn("network", f"{mode}: {problem}", "see docs/network.md")
    return ok("network", mode)
