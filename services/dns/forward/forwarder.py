"""Forwards questions for other names to the host's resolvers. Equal questions are sent once."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from services.dns.forward.cache import ReplyCache
from services.dns.forward.exchange import PORT, exchange
from services.dns.forward.upstreams import RESOLV_CONF, Upstreams
from services.dns.shares import item_to_evict
from services.dns.wire.format import Rcode
from services.dns.wire.query import QuestionKey
from services.dns.wire.reply import Reply

EACH_SECONDS, ALL_SECONDS = 2.0, 5.0
"""Time for one server, and for all of them. A guest's resolver waits 5 s (resolv.conf(5))."""

IN_FLIGHT = 256
"""Questions, and so sockets, that wait for an upstream at once. When there are so many, the client
that has most loses its oldest one to a client that has less."""

NO_REPLY = "no reply"
NO_NAME_SERVER = "the host has no name server: guests resolve names of VMs only"

AgedReply = tuple[Reply, int]
"""A reply and its age in seconds."""


class Forwarder:
    """Create, use and ``close`` it in one event loop. ``ours`` are the addresses of banger's own
    server, which is never asked, because that would be a loop."""

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
        self._cache = ReplyCache()
        self._out: dict[QuestionKey, asyncio.Task[Reply | None]] = {}
        self._askers: dict[QuestionKey, str] = {}
        """The client that asked each of these questions first."""
        self._problem = ""

    def problem(self) -> str:
        """Why guests get no answers from outside; empty when they do, or when it is unknown."""
        return self._problem if self._upstreams.hosts(time.monotonic()) else NO_NAME_SERVER

    async def resolve(self, key: QuestionKey, asker: str = "") -> AgedReply | None:
        """The answer to ``key`` for the client ``asker``, or None when no server gives one in time,
        or when too many questions wait already."""
        now = time.monotonic()
        hosts = self._upstreams.hosts(now)
        if (cached := self._cache.find(key, now)) is not None:
            return cached
        task = self._out.get(key)
        if task is None:
            if not hosts or not self._has_room(asker):
                return None
            task = self._start(hosts, key, asker)
        await asyncio.wait({task})  # a client that gives up does not cancel it for others
        reply = None if task.cancelled() else task.result()
        return None if reply is None else (reply, 0)

    def _start(
        self, hosts: tuple[str, ...], key: QuestionKey, asker: str
    ) -> "asyncio.Task[Reply | None]":
        task = self._out[key] = asyncio.create_task(self._fetch(hosts, key))
        self._askers[key] = asker
        task.add_done_callback(lambda ended: self._remove(key, ended))
        return task

    def _remove(self, key: QuestionKey, ended: "asyncio.Task[Reply | None]") -> None:
        if self._out.get(key) is ended:
            del self._out[key], self._askers[key]

    def _has_room(self, asker: str) -> bool:
        if len(self._out) < IN_FLIGHT:
            return True
        oldest = item_to_evict(self._askers, asker)
        if oldest is None:
            return False
        task = self._out[oldest]
        self._remove(oldest, task)
        task.cancel()
        return True

    async def close(self) -> None:
        tasks = list(self._out.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        """Drop the replies of the previous resolvers, whose names may be others."""
        self._cache.clear()
        self._problem = ""

    async def _fetch(self, hosts: tuple[str, ...], key: QuestionKey) -> Reply | None:
        found = await self._ask_around(hosts, key)
        if not isinstance(found, Reply):
            reasons = ", ".join(f"{host}: {why}" for host, why in found.items())
            self._problem = f"the host's name servers do not answer ({reasons})"
            return None
        self._problem = ""
        now = time.monotonic()
        if self._upstreams.hosts(now) == hosts:
            self._cache.keep(key, found, now)
        return found

    async def _ask_around(self, hosts: tuple[str, ...], key: QuestionKey) -> Reply | dict[str, str]:
        """The first answer, or the reason why each server gave none."""
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

    async def _ask(self, host: str, key: QuestionKey, seconds: float) -> Reply | str:
        """The answer of one server, or the reason why it gave none."""
        try:
            async with asyncio.timeout(seconds):
                found = await exchange(host, self._port, key)
        except TimeoutError:
            return NO_REPLY
        except (OSError, asyncio.IncompleteReadError) as error:
            return str(getattr(error, "strerror", None) or error)
        if isinstance(found, Reply):
            return found
        named = found.rcode in set(Rcode)
        return Rcode(found.rcode).name if named else f"result code {found.rcode}"


def _rounds(hosts: tuple[str, ...], failures: dict[str, str]) -> Iterator[str]:
    """Each server in turn, and again those that did not reply, because a datagram may have been
    lost. A server that replied without an answer is not asked twice."""
    while True:
        willing = [host for host in hosts if failures.get(host, NO_REPLY) == NO_REPLY]
        if not willing:
            return
        yield from willing
