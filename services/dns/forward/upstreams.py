"""The host's resolvers from resolv.conf(5), read again when the file changes."""

from collections.abc import Callable, Collection
from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
CHECK_INTERVAL = 1.0
"""Seconds between two checks of the file, which is checked only when there is a question."""

MOST = 3
"""Servers that are used, like the C library (MAXNS)."""

_Mark = tuple[int, int, int]


def parse_resolv_conf(text: str, ours: Collection[str]) -> tuple[str, ...]:
    """The servers' addresses, in order, without ``ours``, which would be a loop.

    A link-local address keeps its zone ("fe80::1%eth0"). Unreadable lines are ignored, like in the
    C library.
    """
    found: dict[str, None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1]):
            found[words[1]] = None
    return tuple(host for host in found if host not in ours)[:MOST]


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


class Upstreams:
    """The servers to ask."""

    def __init__(
        self,
        ours: Collection[str],
        *,
        path: Path = RESOLV_CONF,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._ours = ours
        self._path = path
        self._changed = changed
        self._checked = float("-inf")
        self._mark: _Mark | None = None
        self._hosts: tuple[str, ...] = ()

    def hosts(self, now: float) -> tuple[str, ...]:
        """The addresses, in the order to ask them; ``now`` in monotonic seconds. ``changed`` is
        called before this returns other addresses than the last time."""
        if now - self._checked >= CHECK_INTERVAL:
            self._checked = now
            self._check()
        return self._hosts

    def _check(self) -> None:
        mark = self._read_mark()
        if mark is not None and mark == self._mark:
            return
        self._mark = mark
        hosts = self._read()
        if hosts != self._hosts:
            self._hosts = hosts
            self._changed()

    def _read_mark(self) -> _Mark | None:
        try:
            stat = self._path.stat()  # of the target, since systemd-resolved's file is a link
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _read(self) -> tuple[str, ...]:
        try:
            return parse_resolv_conf(self._path.read_text(errors="replace"), self._ours)
        except OSError:
            return ()
