"""The network mode of VMs, and what the other mode would add."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor.finding import ok, warn
from cli.doctor.services import ask
from shared.config import Config
from shared.contract.verbs import nat
from shared.errors import BangerError
from shared.paths import Paths
from shared.vmm.info import Finding

if TYPE_CHECKING:
    from shared.contract.messages.network import NatStatus

RESOLV_CONF = Path("/etc/resolv.conf")
BRIDGE_WOULD_ADD = (
    "bridge mode would add egress lists with names, and connections and names between guests"
)


def network(paths: Paths, config: Config) -> Iterator[Finding]:
    if config.network_mode == "user":
        yield ok("network", f"user mode, without privileges; {BRIDGE_WOULD_ADD}")
        with suppress(OSError):
            yield from guest_names(RESOLV_CONF.read_text(errors="replace"))
        return
    try:
        status = ask(paths, nat.STATUS())
    except BangerError:
        status = None  # the check of the services reports a missing nat
    yield bridge(f"bridge mode: {config.nat.bridge}, {config.nat.subnet}", status)


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
