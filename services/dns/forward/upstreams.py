"""The host's resolvers, as resolv.conf(5) names them, followed when the file changes."""

from collections.abc import Callable, Collection
from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
LOOK_EVERY = 1.0
"""Seconds between two looks at the file, which is looked at only when somebody asks."""

MOST = 3
"""Servers that are used, as by the C library (MAXNS)."""

_Mark = tuple[int, int, int]


def parse_resolv_conf(text: str, ours: Collection[str]) -> tuple[str, ...]:
    """The servers' addresses, in order, without ``ours``: to ask ourselves has no end.

    A link-local address keeps its zone ("fe80::1%eth0"). What cannot be read is passed over, as the
    C library does.
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
    """Who is to be asked now."""

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
        self._looked = float("-inf")
        self._mark: _Mark | None = None
        self._hosts: tuple[str, ...] = ()

    def hosts(self, now: float) -> tuple[str, ...]:
        """Addresses, in the order to ask them; ``now`` in monotonic seconds. ``changed`` is called
        before this returns others than the last time."""
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._look()
        return self._hosts

    def _look(self) -> None:
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
            stat = self._path.stat()  # of what a link leads to: resolved's file is one
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _read(self) -> tuple[str, ...]:
        try:
            return parse_resolv_conf(self._path.read_text(errors="replace"), self._ours)
        except OSError:
            return ()
