"""Questions that are not ours, put to the host's resolvers: one of each at a time, and cached."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from services.dns.forward.cache import Cache
from services.dns.forward.exchange import PORT, exchange
from services.dns.forward.upstreams import RESOLV_CONF, Upstreams
from services.dns.wire.query import Key
from services.dns.wire.reply import Reply
from services.dns.zone.zone import Rcode

EACH_SECONDS, ALL_SECONDS = 2.0, 5.0
"""How long one server, and all of them, may take. A guest's resolver waits 5 s (resolv.conf(5))."""

IN_FLIGHT = 256
"""Questions, and so sockets, that are out at once."""

SILENT = "silent"
NOBODY = "the host has no name server: guests resolve nothing but each other"

Found = tuple[Reply, int]
"""A reply and its age in seconds."""


class Forwarder:
    """Create it in the loop that it is used in; ``close`` it there. ``ours`` are addresses on
    which we answer ourselves: to ask there would have no end."""

    def __init__(
        self,
        ours: frozenset[str],
        *,
        resolv_conf: Path = RESOLV_CONF,
        port: int = PORT,
        each: float = EACH_SECONDS,
        total: float = ALL_SECONDS,
    ) -> None:
        self._upstreams = Upstreams(ours, path=resolv_conf, changed=self._forget)
        self._port = port
        self._each, self._total = each, total
        self._cache = Cache()
        self._out: dict[Key, asyncio.Task[Reply | None]] = {}
        self._problem = ""

    def problem(self) -> str:
        """Why guests get no answers from outside, as far as is known; empty when they do."""
        return self._problem if self._upstreams.hosts(time.monotonic()) else NOBODY

    async def resolve(self, key: Key) -> Found | None:
        """The answer to ``key``, or None when nobody gives one in time, or too much is asked."""
        now = time.monotonic()
        hosts = self._upstreams.hosts(now)
        if (cached := self._cache.find(key, now)) is not None:
            return cached
        task = self._out.get(key)
        if task is None:
            if not hosts or len(self._out) >= IN_FLIGHT:
                return None
            task = self._out[key] = asyncio.create_task(self._fetch(hosts, key))
            task.add_done_callback(lambda _: self._out.pop(key, None))
        reply = await asyncio.shield(task)  # who gives up does not take it from the others
        return None if reply is None else (reply, 0)

    async def close(self) -> None:
        tasks = list(self._out.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        """The resolvers are others now: what the old ones said may not hold in their world."""
        self._cache.clear()
        self._problem = ""

    async def _fetch(self, hosts: tuple[str, ...], key: Key) -> Reply | None:
        found = await self._ask_around(hosts, key)
        if not isinstance(found, Reply):
            said = ", ".join(f"{host}: {why}" for host, why in found.items())
            self._problem = f"the host's name servers do not answer ({said})"
            return None
        self._problem = ""
        now = time.monotonic()
        if self._upstreams.hosts(now) == hosts:
            self._cache.keep(key, found, now)
        return found

    async def _ask_around(self, hosts: tuple[str, ...], key: Key) -> Reply | dict[str, str]:
        """The first answer, or why each server gave none."""
        failures: dict[str, str] = {}
        limit = time.monotonic() + self._total
        for host in _rounds(hosts, failures):
            left = min(self._each, limit - time.monotonic())
            if left <= 0:
                break
            found = await self._ask(host, key, left)
            if isinstance(found, Reply):
                return found
            failures[host] = found
        return failures

    async def _ask(self, host: str, key: Key, seconds: float) -> Reply | str:
        """One server's answer, or why it gave none."""
        try:
            async with asyncio.timeout(seconds):
                found = await exchange(host, self._port, key)
        except TimeoutError:
            return SILENT
        except (OSError, asyncio.IncompleteReadError) as error:
            return str(getattr(error, "strerror", None) or error)
        if isinstance(found, Reply):
            return found
        named = found.rcode in set(Rcode)
        return Rcode(found.rcode).name if named else f"result code {found.rcode}"


def _rounds(hosts: tuple[str, ...], failures: dict[str, str]) -> Iterator[str]:
    """Each server in turn, and those again that were silent: a datagram may have been lost. Who
    has said that there is no answer is not asked twice."""
    while True:
        willing = [host for host in hosts if failures.get(host, SILENT) == SILENT]
        if not willing:
            return
        yield from willing
