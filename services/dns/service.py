"""The name service: the zone follows the store's VMs, and the servers answer from it."""

import asyncio
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from services.dns.answers import GuestResponder, ZoneResponder
from services.dns.forward.forwarder import Forwarder
from services.dns.server import DnsServer
from services.dns.zone.records import VmNetworks, zone_of, zone_view
from shared.addresses.subnet import gateway_of
from shared.addresses.ula import ula_prefix
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.replica.follower import Follower
from shared.config import Config
from shared.contract.messages.network import DnsStatus, NatAllow
from shared.contract.messages.vm import Empty
from shared.contract.verbs import dns, nat
from shared.logs import Log
from shared.paths import Paths

HOST = "127.0.0.1"
RETRY_FIRST, RETRY_LAST = 0.5, 30.0
"""Seconds between two attempts to bind the port: doubled from the first to the last."""

ALLOW_SECONDS = 2.0
"""How long nat may take to allow addresses. Its transaction takes some 20 ms."""

EACH_GUEST = 8
"""TCP connections of one guest at once."""


@dataclass
class _Listener:
    """A server on one address. ``problem`` is empty while it listens."""

    host: str
    server: DnsServer
    absent: bool = False
    problem: str = field(default="not listening yet")


class Dns(Actor):
    """The authoritative server for ``.vm``. When its port is taken, the service reports that and
    tries again: VMs run without names until the port is free."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("dns", paths, log)
        self._port = config.dns.port
        self._bridged = config.network_mode == "bridge"
        self._subnet = IPv4Network(config.nat.subnet)
        prefix = ula_prefix(str(paths.state)) if self._bridged and config.ipv6 else None
        self._networks = VmNetworks(config.user_network, self._subnet, prefix)
        self._serial, self._rebuilds = 0, 0
        nothing = zone_of((), self._networks, self._serial)
        self._zone = ZoneResponder(nothing)
        self._zone_for_guests = ZoneResponder(nothing) if prefix else self._zone
        gateway = str(gateway_of(self._subnet))
        ours = frozenset({gateway, *([HOST] if self._port == 53 else [])})
        self._forwarder = Forwarder(ours, resolv_conf=Path(config.dns.resolv_conf))
        self._guests = GuestResponder(
            self._zone_for_guests,
            self._zone,
            self._subnet,
            self._forwarder,
            self._allow,
            self.log,
        )
        spawn = self.background.spawn
        self._listeners = [_Listener(HOST, DnsServer(self._zone.answer, spawn))]
        if self._bridged:
            server = DnsServer(self._guests.answer, spawn, most=EACH_GUEST)
            self._listeners.append(_Listener(gateway, server, absent=True))

    async def on_start(self) -> None:
        self._follower = Follower(self, zone_view, self._rebuild)
        for listener in self._listeners:
            self.background.spawn(self._listen(listener))

    async def on_stop(self) -> None:
        for listener in self._listeners:
            await listener.server.close()
        await self._forwarder.close()
        await self._follower.close()

    @handles(dns.STATUS)
    async def answer_status(self, _request: Empty, _call: Call) -> DnsStatus:
        problems = [listener.problem for listener in self._listeners if listener.problem]
        unanswered = self._forwarder.problem() if self._bridged else ""
        return DnsStatus(
            listening=not problems,
            address=", ".join(f"{listener.host}:{self._port}" for listener in self._listeners),
            names=len(self._zone.zone),
            problem="; ".join(problems) or unanswered,
        )

    def _rebuild(self) -> None:
        replica = self._follower.replica
        vms = replica.vms.values()
        self._serial = replica.seq or self._serial
        self._rebuilds += 1
        self._zone.zone = zone_of(vms, self._networks, self._serial)
        if self._zone_for_guests is not self._zone:
            self._zone_for_guests.zone = zone_of(vms, self._networks, self._serial, ipv6=False)
        self._guests.set_vms(vms)

    def status(self) -> dict[str, Any]:
        """Answered to a ping: how often the zone was built."""
        return {"rebuilds": self._rebuilds}

    async def _allow(self, request: NatAllow) -> None:
        deadline = time.monotonic() + ALLOW_SECONDS
        await self.ask(nat.ALLOW.of(request), deadline=deadline)

    async def _listen(self, listener: _Listener) -> None:
        pause = RETRY_FIRST
        address = f"{listener.host}:{self._port}"
        while listener.problem:
            try:
                await listener.server.start(listener.host, self._port, absent=listener.absent)
            except OSError as error:
                listener.problem = f"cannot listen on {address}: {error.strerror}"
                self.log.warning(listener.problem, retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LAST)
            else:
                listener.problem = ""
                self.log.info("listening", address=address)
