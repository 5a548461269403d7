"""Names of VMs for the host's own programs, where systemd-resolved is what they ask.

resolvectl(1) sets the bridge's link up so that resolved asks our dns for ``.vm`` and the reverse
zones of the bridge's subnets, and for nothing else. What it set goes with the link. It is a
comfort: when resolved is not there, or does not let us, nothing else suffers.
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
"""Seconds for one call: it is one message over D-Bus."""

Command = tuple[str, ...]


def route_commands(
    bridge: str, server: str, subnets: Iterable[IPv4Network | IPv6Network]
) -> tuple[Command, ...]:
    """What to run so that names of VMs and addresses of ``subnets`` are asked of ``server``
    ("10.77.0.1:42069")."""
    zones = ("vm", *(zone for subnet in subnets for zone in reverse_zones(subnet)))
    return (
        (PROGRAM, "dns", bridge, server),
        (PROGRAM, "domain", bridge, *(f"~{zone}" for zone in zones)),
        (PROGRAM, "default-route", bridge, "no"),
    )


def revert_commands(bridge: str) -> tuple[Command, ...]:
    return ((PROGRAM, "revert", bridge),)


@dataclass
class NameRouting:
    """Keeps resolved told. Calls block; ``is_set`` is what was last done with success."""

    bridge: str
    server: str
    subnets: tuple[IPv4Network | IPv6Network, ...]
    is_set: bool = False

    def set(self) -> str:
        """Tell resolved of the bridge; returns why it could not be done, empty when it was."""
        failure = _run(route_commands(self.bridge, self.server, self.subnets))
        self.is_set = not failure
        return failure

    def revert(self) -> str:
        """The contrary, before the link goes; as ``set``."""
        self.is_set = False
        return _run(revert_commands(self.bridge))


def _run(commands: tuple[Command, ...]) -> str:
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


def _run_one(argv: Command) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip() or f"status {done.returncode}") if done.returncode else ""


def _with_resolved() -> bool:
    """resolvectl names a link by its number, which in another namespace is another link's."""
    try:
        return Path("/proc/1/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink()
    except OSError:
        return True  # not ours to see: resolved itself decides
