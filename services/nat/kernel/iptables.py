"""The tables of iptables-legacy, on hosts where Docker or ufw still uses them."""

from pathlib import Path

from services.nat.kernel.system_programs import find, run
from services.nat.ruleset.firewalls import (
    DockerRules,
    Firewalls,
    legacy_close,
    legacy_firewalls,
    legacy_open,
)
from shared.errors import BangerError, Code

_TABLES = Path("/proc/thread-self/net/ip_tables_names")


def firewalls(bridge: str) -> Firewalls:
    """The firewalls in these tables. Where there are none, nothing runs: it would create them."""
    if "filter" not in _tables() or find("iptables-legacy") is None:
        return Firewalls()
    return legacy_firewalls(_run("iptables-legacy", "-w", "-S").splitlines(), bridge)


def open_docker(present: DockerRules, bridge: str) -> None:
    _run("iptables-legacy-restore", "-w", "--noflush", text=legacy_open(present, bridge))


def close_docker(present: DockerRules) -> None:
    _run("iptables-legacy-restore", "-w", "--noflush", text=legacy_close(present))


def _tables() -> list[str]:
    try:
        return _TABLES.read_text().split()
    except OSError:
        return []  # the kernel has no such tables, or does not show them


def _run(name: str, *arguments: str, text: str = "") -> str:
    """Raises ``unavailable`` when the program cannot be run or fails."""
    done = run(name, *arguments, text=text)
    if done.returncode != 0:
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} refused: {done.stderr.strip()}",
            hint="see: banger daemon logs nat",
        )
    return done.stdout
