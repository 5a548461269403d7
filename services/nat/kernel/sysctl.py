"""ip_forward: switched on while a guest needs the outside, and put back as it was found. And
settings of our own interfaces: route_localnet, proxy_arp_pvlan, accept_ra
(networking/ip-sysctl in the kernel's documentation)."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from services.nat.kernel.errors import refusal
from shared.host.boot_id import host_boot_id
from shared.host.files import write_atomically

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

_ACCEPT_RA = "/proc/sys/net/ipv6/conf/{}/accept_ra"
_LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"
_PROXY_ARP = "/proc/sys/net/ipv4/conf/{}/proxy_arp_pvlan"
_PROXY_DELAY = "/proc/sys/net/ipv4/neigh/{}/proxy_delay"


def is_localnet(bridge: str) -> bool:
    """Whether 127.0.0.0/8 may pass the bridge now; False where there is no bridge."""
    return _is_on(_LOCALNET, bridge)


def set_localnet(bridge: str, *, on: bool) -> None:
    """It goes with the bridge, so nothing has to be remembered."""
    _set(Path(_LOCALNET.format(bridge)), "1" if on else "0")


def is_joined(bridge: str) -> bool:
    """Whether the host answers in ARP for one guest to another; False where there is no bridge."""
    return _is_on(_PROXY_ARP, bridge)


def join(bridge: str, *, on: bool) -> None:
    """RFC 3069: for ports that do not hear each other. Linux waits for up to 0.8 s before it
    answers for somebody else, lest it be faster than the right one; here there is none."""
    if on:
        _set(Path(_PROXY_DELAY.format(bridge)), "0")
    _set(Path(_PROXY_ARP.format(bridge)), "1" if on else "0")


def _is_on(setting: str, link: str) -> bool:
    try:
        return Path(setting.format(link)).read_text().strip() == "1"
    except FileNotFoundError:
        return False


def refuse_routers(link: str) -> None:
    """A route that a guest has announced would outlive the moment in which our rules were gone.

    Not vital, as the rules are what keeps it out: no error where there is no IPv6 or /proc is
    closed.
    """
    with contextlib.suppress(OSError):
        Path(_ACCEPT_RA.format(link)).write_text("0")


def is_forwarding() -> bool:
    """Whether this network namespace routes IPv4 between its interfaces now."""
    return _FORWARDING.read_text().strip() == "1"


@dataclass(frozen=True)
class Loan:
    """The value found in ip_forward, remembered in the file ``note`` until it is given back.

    The note holds the host's boot id too: after a reboot the host has a value of its own again
    and an old note means nothing.
    """

    note: Path

    def is_open(self) -> bool:
        return self._previous() is not None

    def take(self) -> None:
        """Remember what ip_forward is, then set it to 1.

        The note is on disk first: were this process to die between the two, the value found
        would otherwise be lost, and with it the way back.
        """
        if not self.is_open():
            self._write({"previous": _FORWARDING.read_text().strip(), "boot_id": host_boot_id()})
        _set(_FORWARDING, "1")

    def give_back(self) -> None:
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
        raise refusal(f"setting {setting} to {value} failed", error.errno or 0) from error
