"""The older tables of iptables-legacy, on hosts where Docker or ufw still uses them."""

import shutil
import subprocess
from pathlib import Path

from services.nat.firewalls import Firewalls, Opening, legacy_close, legacy_firewalls, legacy_open
from services.nat.nftables import SYSTEM_PATH, TIMEOUT
from shared.errors import BangerError, Code

_TABLES = Path("/proc/thread-self/net/ip_tables_names")


def firewalls(bridge: str) -> Firewalls:
    """What is there. Where no such table exists nothing is asked: asking would make it."""
    if "filter" not in _tables() or shutil.which("iptables-legacy", path=SYSTEM_PATH) is None:
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
    program = shutil.which(name, path=SYSTEM_PATH) or name
    try:
        done = subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BangerError(Code.UNAVAILABLE, f"{name} did not run: {error}") from error
    if done.returncode != 0:
        raise BangerError(Code.UNAVAILABLE, f"{name} refused: {done.stderr.strip()}")
    return done.stdout
