"""The nat service's verbs: in user mode it is idle and touches nothing, in bridge mode it asks
``Bridge``.

When the service ends, everything stays in place: VMs keep their network, and their jails, while it
is restarted.
"""

import signal
from typing import Any

from services.nat.deployment.identity import Station
from services.nat.reconciler import Bridge
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.network import (
    Attachment,
    Jailed,
    NatAllow,
    NatAttach,
    NatJail,
    NatStatus,
    NatUnjail,
)
from shared.contract.messages.vm import Empty
from shared.contract.verbs import nat
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths, check_private


class Nat(Actor):
    """The only process that needs privilege, and only in bridge mode (CAP_NET_ADMIN)."""

    def __init__(self, paths: Paths, log: Log, config: Config, station: Station) -> None:
        super().__init__("nat", paths, log)
        self._bridge: Bridge | None = None
        self._config = config
        self._station = station

    async def on_start(self) -> None:
        if self._station.bridge:
            self._lock = await own(self._station.keep / "nat.lock")
            self._bridge = Bridge(self, self._config, self._station)

    def accepts_broker(self) -> bool:
        """Root looks again each time: the directory may have been made anew meanwhile."""
        if not self._station.external:
            return True
        try:
            check_private(self.paths.run, owner=self._station.owner)
        except (BangerError, OSError) as error:
            self.log.error("the run directory is not the user's any more", error=str(error))
            self.stopping.set()
            return False
        return True

    async def on_stop(self) -> None:
        if self._bridge:
            await self._bridge.close()

    @handles(nat.ATTACH)
    async def attach(self, request: NatAttach, _call: Call) -> Attachment:
        """Have the tap in place before answering; asking again changes nothing."""
        return await self._bridged().attach(request.id)

    @handles(nat.ALLOW)
    async def allow(self, request: NatAllow, _call: Call) -> None:
        """Have addresses of a name on a VM's list in its set before dns answers with them."""
        await self._bridged().allow(request)

    @handles(nat.APPLY)
    async def apply(self, _request: Empty, _call: Call) -> None:
        """Answer when the kernel has what the store says now; events come in their own time."""
        await self._bridged().apply()

    @handles(nat.JAIL)
    async def jail(self, request: NatJail, _call: Call) -> Jailed:
        """Start the VMM of an attached VM in a jail; its tap becomes the jail's."""
        return await self._bridged().jail(request.id)

    @handles(nat.UNJAIL)
    async def unjail(self, request: NatUnjail, _call: Call) -> None:
        """Signal the jailed VMM of a VM, and nothing else."""
        await self._bridged().unjail(request.id, signal_of(request.signal))

    def status(self) -> dict[str, Any]:
        """In a ping: how many passes over the kernel there were."""
        return {"passes": self._bridge.passes} if self._bridge else {}

    def _bridged(self) -> Bridge:
        if self._bridge is None:
            raise BangerError(
                Code.UNAVAILABLE,
                "the network mode is user: there is no bridge to attach to",
                hint='set network = "bridge" in the configuration, then restart the services',
            )
        return self._bridge

    @handles(nat.STATUS)
    async def answer_status(self, _request: Empty, _call: Call) -> NatStatus:
        return await self._bridge.status() if self._bridge else NatStatus(enabled=False)


def signal_of(number: int) -> signal.Signals:
    """Raises ``invalid`` for a number that is no signal."""
    try:
        return signal.Signals(number)
    except ValueError:
        raise BangerError(Code.INVALID, f"there is no signal {number}") from None
