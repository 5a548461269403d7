"""How VMs are on the network, and what another mode would add."""

from collections.abc import Iterator

from cli.checks.result import Result, ok
from shared.config import Config
from shared.paths import Paths

BRIDGE_WOULD_ADD = (
    "bridge mode would add egress lists, names between guests, "
    "and a --nat that does not lead to this host's loopback"
)


def network(_paths: Paths, config: Config) -> Iterator[Result]:
    if config.network_mode == "user":
        yield ok("network", f"user mode, no privilege; {BRIDGE_WOULD_ADD}")
    else:
        yield ok("network", f"bridge mode: {config.nat.bridge}, {config.nat.subnet}")
