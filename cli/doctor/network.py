"""The network mode of VMs, and what the other mode would add."""

from collections.abc import Iterator
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

BRIDGE_WOULD_ADD = (
    "bridge mode would add egress lists with names, and connections and names between guests"
)


def network(paths: Paths, config: Config) -> Iterator[Finding]:
    if config.network_mode == "user":
        yield ok("network", f"user mode, without privileges; {BRIDGE_WOULD_ADD}")
        return
    try:
        status = ask(paths, nat.STATUS())
    except BangerError:
        status = None  # the check of the services reports a missing nat
    yield bridge(f"bridge mode: {config.nat.bridge}, {config.nat.subnet}", status)


def bridge(mode: str, status: "NatStatus | None") -> Finding:
    """``status`` is nat's own, None without an answer. Its ``problem`` says what nat could not do,
    or which firewall of the host is in the way, and what to run."""
    problem = status.problem if status else ""
    if problem:
        return warn("network", f"{mode}: {problem}", "see docs/network.md")
    return ok("network", mode)
