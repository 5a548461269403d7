"""Names of VMs for the host's own programs, on hosts with systemd-resolved.

resolvectl(1) configures the bridge's link so that resolved asks banger's dns for ``.vm`` and the
reverse zones of the bridge's subnets, and for nothing else. The settings disappear with the link.
This is a convenience: when resolved is missing or refuses, nothing else is affected.
"""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from shared.addresses.reverse_zones import reverse_zones

PROGRAM = "resolvectl"
TIMEOUT = 5.0
"""Seconds for one call, which is one message over D-Bus."""

Argv = tuple[str, ...]


def route_commands(
    bridge: str, server: str, subnets: Iterable[IPv4Network | IPv6Network]
) -> tuple[Argv, ...]:
    """The commands that have resolved ask ``server`` ("10.77.0.1:42069") for names of VMs and for
    addresses of ``subnets``."""
    zones = ("vm", *(zone for subnet in subnets for zone in reverse_zones(subnet)))
    return (
        (PROGRAM, "dns", bridge, server),
        (PROGRAM, "domain", bridge, *(f"~{zone}" for zone in zones)),
        (PROGRAM, "default-route", bridge, "no"),
    )


def revert_commands(bridge: str) -> tuple[Argv, ...]:
    return ((PROGRAM, "revert", bridge),)


@dataclass
class NameRouting:
    """The routing of names at the bridge. Calls block; ``is_set`` is the last successful state."""

    bridge: str
    server: str
    subnets: tuple[IPv4Network | IPv6Network, ...]
    is_set: bool = False

    def set(self) -> str:
        """Configure the bridge's link; returns why that failed, empty when it succeeded."""
        failure = _run(route_commands(self.bridge, self.server, self.subnets))
        self.is_set = not failure
        return failure

    def revert(self) -> str:
        """Remove the configuration, before the link is deleted; returns as ``set``."""
        self.is_set = False
        return _run(revert_commands(self.bridge))


def _run(commands: tuple[Argv, ...]) -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        return f"{PROGRAM} is not installed"
    if not _with_resolved():
        return "this is not the network namespace of the host's resolved"
    for command in commands:
        failure = _run_one((program, *command[1:]))
        if failure:
            return f"{' '.join(command)}: {failure}"
    return ""


def _run_one(argv: Argv) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip() or f"status {done.returncode}") if done.returncode else ""


def _with_resolved() -> bool:
    """Whether resolved is in this namespace: resolvectl identifies a link by its number, which
    belongs to another link in another namespace."""
    try:
        return Path("/proc/1/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink()
    except OSError:
        return True  # the namespace is not readable: resolved itself decides
