"""What each client gets: programs of the host the zone, guests the zone and what their egress
policy lets them look up outside."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from ipaddress import IPv4Network
from typing import Any

from services.dns.forward.forwarder import Forwarder
from services.dns.forward.rate import LogLimiter, QuestionRates
from services.dns.wire.format import Rcode, Type
from services.dns.wire.query import Query, read_query, write_answer, write_error, write_failure
from services.dns.wire.reply import Reply, ReplyRecord, address_of, alias_chain, write_records
from services.dns.zone.authority import answer_from, text_name
from services.dns.zone.guests import AnyName, ListedNames, NameClient, name_clients
from services.dns.zone.zone import Zone
from shared.addresses.outside import is_outside
from shared.addresses.subnet import gateway_of
from shared.contract.messages.network import NatAllow
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from shared.logs import Log

Response = bytes | None | Coroutine[Any, Any, bytes]
"""An answer, no answer at all, or an answer that takes time."""

Allow = Callable[[NatAllow], Awaitable[object]]
"""Returns when the guest can reach the addresses. Raises BangerError when it cannot."""

ALLOWED_SECONDS = 60
"""Seconds that answered addresses stay reachable at least: programs use an address for longer than
the TTL of the answer that it came from."""

RECORDS = 64
"""Records of one answer to a guest with an egress list. More are dropped."""

OUT_EACH = 64
"""Questions of one guest that wait for an upstream at once, so that others have room too."""


class ZoneResponder:
    """Answers from the zone, which is replaced when the VMs change."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def answer(self, packet: bytes, _source: str = "", *, tcp: bool) -> bytes | None:
        """The answer to any client; None when the packet deserves none."""
        query = read_query(packet)
        return (
            self.answer_query(query, tcp=tcp) if isinstance(query, Query) else _error(packet, query)
        )

    def answer_query(self, query: Query, *, tcp: bool) -> bytes:
        return answer_from(self.zone, query, tcp=tcp)

    def covers(self, query: Query) -> bool:
        """Whether the name is in the zone's domains."""
        return self.zone.covers(text_name(query.name))


class GuestResponder:
    """Answers to clients that ask on the bridge's address.

    The source address says which guest asks. The host itself, which has the bridge's address, gets
    what it gets on loopback. Any other source gets no answer.
    """

    def __init__(
        self,
        zone: ZoneResponder,
        zone_for_host: ZoneResponder,
        subnet: IPv4Network,
        forwarder: Forwarder,
        allow: Allow,
        log: Log,
    ) -> None:
        self._zone = zone
        self._zone_for_host = zone_for_host
        self._subnet = subnet
        self._forwarder = forwarder
        self._allow = allow
        self._log = log
        self._clients: dict[str, NameClient] = {}
        self._rates, self._log_limiter = QuestionRates(), LogLimiter()
        self._out: Counter[str] = Counter()

    def set_vms(self, vms: Collection[Vm]) -> None:
        """Replace the VMs that may ask."""
        self._clients = name_clients(vms, self._subnet)
        ids = {client.id for client in self._clients.values()}
        self._rates.keep_only(ids)
        self._log_limiter.keep_only(ids)

    def answer(self, packet: bytes, source: str, *, tcp: bool) -> Response:
        """The response to ``packet`` from the address ``source``."""
        client = self._clients.get(source)
        if client is None:
            host = source == str(gateway_of(self._subnet))
            return self._zone_for_host.answer(packet, tcp=tcp) if host else None
        if not self._rates.take(client.id, time.monotonic()):
            self._warn(client, f"DNS flood from {client.name}: questions are dropped")
            return None
        query = read_query(packet)
        if not isinstance(query, Query):
            return _error(packet, query)
        if self._zone.covers(query) or not _may_ask(client, query):
            return self._zone.answer_query(query, tcp=tcp)  # REFUSED outside the zone
        if isinstance(client.policy, ListedNames) and query.kind != Type.A:
            return write_answer(query, Rcode.NOERROR, tcp=tcp)  # nat opens IPv4 addresses only
        if self._out[client.id] >= OUT_EACH:
            return write_failure(query, tcp=tcp)
        self._out[client.id] += 1
        return self._from_outside(client, query, tcp)

    async def _from_outside(self, client: NameClient, query: Query, tcp: bool) -> bytes:
        try:
            found = await self._forwarder.resolve(query.key, client.id)
            if found is None:
                return write_failure(query, tcp=tcp)
            reply, age = found
            if reply.records and isinstance(client.policy, ListedNames):
                return await self._allowed_answer(client, query, reply, age, tcp)
            return write_answer(query, reply.rcode, reply.counts, reply.aged(age), tcp=tcp)
        finally:
            self._out -= Counter((client.id,))  # this drops clients that have none left

    async def _allowed_answer(
        self, client: NameClient, query: Query, reply: Reply, age: int, tcp: bool
    ) -> bytes:
        """The aliases and addresses alone, once nat lets the guest reach the addresses."""
        records = self._harmless(client, query, alias_chain(reply, query.name))
        addresses = {str(address): r for r in records if (address := address_of(r)) is not None}
        if not addresses:
            return write_answer(query, reply.rcode, tcp=tcp)
        seconds = max(ALLOWED_SECONDS, *(record.ttl - age for record in addresses.values()))
        request = NatAllow(
            id=client.id, name=query.host_name, addresses=list(addresses), seconds=seconds
        )
        try:
            await self._allow(request)
        except BangerError as error:
            said = f"nat does not let {client.name} reach a name on its list"
            self._warn(client, said, name=query.host_name, why=error)
            return write_failure(query, tcp=tcp)
        counts = (len(records), 0)
        return write_answer(query, reply.rcode, counts, write_records(records, age), tcp=tcp)

    def _harmless(
        self, client: NameClient, query: Query, found: list[ReplyRecord]
    ) -> list[ReplyRecord]:
        kept = [record for record in found if self._is_harmless(record)]
        if len(kept) < len(found):
            said = f"an address that {client.name} must not reach was left out of an answer"
            self._warn(client, said, name=query.host_name)
        return kept[:RECORDS]

    def _is_harmless(self, record: ReplyRecord) -> bool:
        address = address_of(record)
        return address is None or is_outside(address, self._subnet)

    def _warn(self, client: NameClient, message: str, **fields: object) -> None:
        if self._log_limiter.may_log(client.id, message, time.monotonic()):
            texts = {name: str(value) for name, value in fields.items()}
            self._log.warning(message, vm=client.name, **texts)


def _error(packet: bytes, rcode: Rcode | None) -> bytes | None:
    return None if rcode is None else write_error(packet, rcode)


def _may_ask(client: NameClient, query: Query) -> bool:
    """Whether the client's policy lets it look the name up, and another resolver can answer."""
    allowed = isinstance(client.policy, AnyName) or client.policy.covers(query.host_name)
    return allowed and query.may_be_forwarded
