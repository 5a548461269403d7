"""What an asker gets: the host's programs what is ours, guests that and what their policy lets them
look up outside."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from ipaddress import IPv4Network
from typing import Any

from services.dns.forward.forwarder import Forwarder
from services.dns.forward.rate import Quiet, Rates
from services.dns.wire.query import Query, answer, failed, read_query
from services.dns.wire.reply import Record, Reply, address_of, chain, write_records
from services.dns.zone.guests import Asker, Everything, Listed, askers
from services.dns.zone.memo import Memo
from services.dns.zone.resolver import respond
from services.dns.zone.zone import Rcode, Type, Zone
from shared.addresses.subnet import gateway_of, is_outside
from shared.contract.messages.network import NatAllow
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.logs import Log

Given = bytes | None | Coroutine[Any, Any, bytes]
"""An answer, none at all, or one that takes time."""

Allow = Callable[[NatAllow], Awaitable[object]]
"""Returns when the guest can reach the addresses. Raises BangerError: it cannot."""

ALLOWED_SECONDS = 60
"""Seconds that answered addresses stay open at least: programs use an address for longer than the
TTL of the answer they have it from."""

RECORDS = 64
"""Of one answer to a guest with a list; a name with more than that is after something else."""

OUT_EACH = 64
"""Questions of one guest that wait for an upstream at once, so that it leaves room for others."""


class Zoned:
    """The zone as it is now, and the answers that were given from it."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._memo = Memo()

    def replace(self, zone: Zone) -> None:
        self.zone = zone
        self._memo.clear()

    def answer(self, packet: bytes, _source: str = "", *, tcp: bool) -> bytes | None:
        """As ``respond``, whoever asks."""
        found = self._memo.find(packet, tcp=tcp)
        if found is None and (found := respond(packet, self.zone, tcp=tcp)) is not None:
            self._memo.keep(packet, found, tcp=tcp)
        return found

    def is_ours(self, query: Query) -> bool:
        name = tuple(label.decode("ascii", "replace") for label in query.key.name)
        return self.zone.covers(name)


class GuestAnswers:
    """For those who ask on the bridge's address. A source that is no guest of ours that is up gets
    nothing; the host itself, which has the bridge's address, gets what it gets on loopback."""

    def __init__(
        self,
        zoned: Zoned,
        zoned_for_host: Zoned,
        subnet: IPv4Network,
        forwarder: Forwarder,
        allow: Allow,
        log: Log,
    ) -> None:
        self._zoned = zoned
        self._zoned_for_host = zoned_for_host
        self._subnet = subnet
        self._forwarder = forwarder
        self._allow = allow
        self._log = log
        self._askers: dict[str, Asker] = {}
        self._rates, self._quiet = Rates(), Quiet()
        self._out: Counter[str] = Counter()

    def know(self, vms: Collection[Vm]) -> None:
        """These are the VMs now."""
        self._askers = askers(vms, self._subnet)
        ids = {asker.id for asker in self._askers.values()}
        self._rates.forget_all_but(ids)
        self._quiet.forget_all_but(ids)

    def answer(self, packet: bytes, source: str, *, tcp: bool) -> Given:
        asker = self._askers.get(source)
        if asker is None:
            host = source == str(gateway_of(self._subnet))
            return self._zoned_for_host.answer(packet, tcp=tcp) if host else None
        if not self._rates.take(asker.id, time.monotonic()):
            self._say(asker, f"DNS flood from {asker.name}: questions are dropped")
            return None
        query = read_query(packet)
        if query is None or self._zoned.is_ours(query) or not _may_ask(asker, query):
            return self._zoned.answer(packet, tcp=tcp)  # refused where the name is not ours
        if isinstance(asker.policy, Listed) and query.key.kind != Type.A:
            return answer(query, Rcode.NOERROR, tcp=tcp)  # nothing but addresses is opened
        if self._out[asker.id] >= OUT_EACH:
            return failed(query, tcp=tcp)
        self._out[asker.id] += 1
        return self._from_outside(asker, query, tcp)

    async def _from_outside(self, asker: Asker, query: Query, tcp: bool) -> bytes:
        try:
            found = await self._forwarder.resolve(query.key)
            if found is None:
                return failed(query, tcp=tcp)
            reply, age = found
            if reply.records and isinstance(asker.policy, Listed):
                return await self._opened(asker, query, reply, age, tcp)
            return answer(query, reply.rcode, reply.counts, reply.aged(age), tcp=tcp)
        finally:
            self._out -= Counter((asker.id,))  # which drops those that have none left

    async def _opened(self, asker: Asker, query: Query, reply: Reply, age: int, tcp: bool) -> bytes:
        """The aliases and addresses alone, and only when nat has opened the way there."""
        records = self._harmless(asker, query, chain(reply, query.key.name))
        addresses = {str(address): r for r in records if (address := address_of(r)) is not None}
        if not addresses:
            return answer(query, reply.rcode, tcp=tcp)
        seconds = max(ALLOWED_SECONDS, *(record.ttl - age for record in addresses.values()))
        request = NatAllow(
            id=asker.id, name=query.host_name, addresses=list(addresses), seconds=seconds
        )
        try:
            await self._allow(request)
        except BangerError as error:
            self._say(asker, f"{asker.name}'s names stay closed", name=query.host_name, why=error)
            return failed(query, tcp=tcp)
        counts = (len(records), 0)
        return answer(query, reply.rcode, counts, write_records(records, age), tcp=tcp)

    def _harmless(self, asker: Asker, query: Query, found: list[Record]) -> list[Record]:
        kept = [record for record in found if self._is_harmless(record)]
        if len(kept) < len(found):
            said = f"an address that {asker.name} must not reach was left out of an answer"
            self._say(asker, said, name=query.host_name)
        return kept[:RECORDS]

    def _is_harmless(self, record: Record) -> bool:
        address = address_of(record)
        return address is None or is_outside(address, self._subnet)

    def _say(self, asker: Asker, message: str, **fields: object) -> None:
        if self._quiet.may_say(asker.id, message, time.monotonic()):
            texts = {name: str(value) for name, value in fields.items()}
            self._log.warning(message, vm=asker.name, **texts)


def _may_ask(asker: Asker, query: Query) -> bool:
    return isinstance(asker.policy, Everything) or asker.policy.covers(query.host_name)
