"""The dns service's I/O shell: the zone follows the store, the server follows the zone."""

import asyncio
import contextlib
from ipaddress import IPv4Network

from services.dns.records import zone_of
from services.dns.server import Server
from services.dns.zone import Zone
from shared.bus.actor import Actor
from shared.bus.verbs import Call, verb
from shared.config import Config
from shared.follower import Follower
from shared.logs import Log
from shared.messages.network import DnsStatus
from shared.messages.vm import Nothing
from shared.paths import Paths

HOST = "127.0.0.1"
RETRY_FIRST, RETRY_LAST = 0.5, 30.0
"""Seconds between attempts to take the port: doubled from the first to the last."""


class Dns(Actor):
    """Authoritative for ``.vm``. A port that is taken is a state to report, not a reason to end:
    the VMs run without their names, and the name service comes up when the port is free."""

    def __init__(self, paths: Paths, log: Log, config: Config) -> None:
        super().__init__("dns", paths, log)
        self._port = config.dns.port
        self._subnets = (IPv4Network(config.user_subnet), IPv4Network(config.nat.subnet))
        self._zone = Zone({}, self._subnets, 0)
        self._server = Server(lambda: self._zone)
        self._listening = False
        self._problem = "not started yet"

    async def on_start(self) -> None:
        self._follower = Follower(self, self._rebuild)
        self._listener = asyncio.create_task(self._listen())

    async def on_stop(self) -> None:
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        await self._server.close()
        await self._follower.close()

    @verb("dns.status", Nothing)
    async def answer_status(self, _request: Nothing, _call: Call) -> DnsStatus:
        return DnsStatus(
            listening=self._listening,
            address=f"{HOST}:{self._port}",
            names=len(self._zone),
            problem=self._problem,
        )

    def _rebuild(self) -> None:
        projection = self._follower.projection
        self._zone = zone_of(projection.vms.values(), self._subnets, projection.seq or 0)

    async def _listen(self) -> None:
        pause = RETRY_FIRST
        while not self._listening:
            try:
                _, self._port = await self._server.start(HOST, self._port)
            except OSError as error:
                self._problem = f"cannot listen on {HOST}:{self._port}: {error.strerror}"
                self.log.warning(self._problem, retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LAST)
            else:
                self._listening, self._problem = True, ""
                self.log.info("listening", address=f"{HOST}:{self._port}")
