"""The older tables of iptables-legacy, on hosts where Docker or ufw still uses them."""

from pathlib import Path

from services.nat.kernel.programs import find, run
from services.nat.ruleset.firewalls import (
    Firewalls,
    Opening,
    legacy_close,
    legacy_firewalls,
    legacy_open,
)
from shared.errors import BangerError, Code

_TABLES = Path("/proc/thread-self/net/ip_tables_names")


def firewalls(bridge: str) -> Firewalls:
    """What is there. Where no such table exists nothing is asked: asking would make it."""
    if "filter" not in _tables() or find("iptables-legacy") is None:
        return Firewalls()
    return legacy_firewalls(_run("iptables-legacy", "-w", "-S").splitlines(), bridge)


def open_docker(opening: Opening, bridge: str) -> None:
    _run("iptables-legacy-restore", "-w", "--noflush", text=legacy_open(opening, bridge))


def close_docker(opening: Opening) -> None:
    _run("iptables-legacy-restore", "-w", "--noflush", text=legacy_close(opening))


def _tables() -> list[str]:
    try:
        return _TABLES.read_text().split()
    except OSError:
        return []  # no such tables in this kernel, or not ours to see


def _run(name: str, *arguments: str, text: str = "") -> str:
    """Raises ``unavailable`` when it does not run or refuses."""
    done = run(name, *arguments, text=text)
    if done.returncode != 0:
        raise BangerError(
            Code.UNAVAILABLE,
            f"{name} refused: {done.stderr.strip()}",
            hint="see: banger daemon logs nat",
        )
    return done.stdout
