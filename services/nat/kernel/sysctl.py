"""Kernel settings (networking/ip-sysctl in the kernel's documentation).

ip_forward is the host's: it is 1 while a guest needs the outside, and then gets its former value
back. route_localnet, proxy_arp_pvlan and accept_ra are settings of banger's own interfaces.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from services.nat.kernel.errors import kernel_error
from shared.host.boot_id import host_boot_id
from shared.host.files import write_atomically

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

_ACCEPT_RA = "/proc/sys/net/ipv6/conf/{}/accept_ra"
_LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"
_PROXY_ARP = "/proc/sys/net/ipv4/conf/{}/proxy_arp_pvlan"
_PROXY_DELAY = "/proc/sys/net/ipv4/neigh/{}/proxy_delay"


def is_localnet(bridge: str) -> bool:
    """Whether packets of 127.0.0.0/8 may pass the bridge; False where there is no bridge."""
    return _is_on(_LOCALNET, bridge)


def set_localnet(bridge: str, *, on: bool) -> None:
    """Set route_localnet of the bridge. The setting disappears with the bridge."""
    _set(Path(_LOCALNET.format(bridge)), "1" if on else "0")


def is_proxy_arp(bridge: str) -> bool:
    """Whether the host answers ARP for one guest to another; False where there is no bridge."""
    return _is_on(_PROXY_ARP, bridge)


def set_proxy_arp(bridge: str, *, on: bool) -> None:
    """Set whether the host answers ARP between ports that are isolated from each other (RFC 3069).

    Linux delays such an answer by up to 0.8 s, so that the owner of the address can answer first.
    Here the owner never receives the question, so the delay is switched off.
    """
    if on:
        _set(Path(_PROXY_DELAY.format(bridge)), "0")
    _set(Path(_PROXY_ARP.format(bridge)), "1" if on else "0")


def _is_on(setting: str, link: str) -> bool:
    try:
        return Path(setting.format(link)).read_text().strip() == "1"
    except FileNotFoundError:
        return False


def ignore_router_advertisements(link: str) -> None:
    """Have the host accept no routes that guests announce on ``link``.

    The rules drop such announcements; this covers the time after another program has flushed them,
    because a route would stay. So it is no error where IPv6 is missing or /proc is read-only.
    """
    with contextlib.suppress(OSError):
        Path(_ACCEPT_RA.format(link)).write_text("0")


def is_forwarding() -> bool:
    """Whether this network namespace forwards IPv4 packets."""
    return _FORWARDING.read_text().strip() == "1"


@dataclass(frozen=True)
class IpForward:
    """ip_forward, with its former value in the file ``note`` until that is restored.

    The note holds the host's boot id too: after a reboot ip_forward has the host's own value again,
    and an old note is ignored.
    """

    note: Path

    def is_saved(self) -> bool:
        """Whether nat has set ip_forward since the host started, and has to restore it."""
        return self._previous() is not None

    def enable(self) -> None:
        """Save the value of ip_forward, then set it to 1.

        The note is on disk first. If nat ended between the two steps in the other order, the former
        value would be lost.
        """
        if not self.is_saved():
            self._write({"previous": _FORWARDING.read_text().strip(), "boot_id": host_boot_id()})
        _set(_FORWARDING, "1")

    def restore(self) -> None:
        """Set ip_forward to the saved value, if there is one, and remove the note."""
        previous = self._previous()
        if previous is not None:
            _set(_FORWARDING, previous)
        self.note.unlink(missing_ok=True)

    def _previous(self) -> str | None:
        try:
            note = json.loads(self.note.read_text())
            return str(note["previous"]) if note["boot_id"] == host_boot_id() else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _write(self, note: dict[str, str]) -> None:
        write_atomically(self.note, json.dumps(note).encode())


def _set(setting: Path, value: str) -> None:
    try:
        setting.write_text(value)
    except OSError as error:
        raise kernel_error(f"setting {setting} to {value} failed", error.errno or 0) from error
