"""The privileged host service: it owns the host's network and the jails, and nothing else does.

In user mode it is idle and touches nothing. In bridge mode ``Reconciler`` does the work. When the
service ends, everything stays in place: VMs keep their network and their jails while it restarts.
"""

import signal
from typing import Any

from services.nat.deployment.identity import Identity
from services.nat.reconciler import Reconciler
from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import own
from shared.config import Config
from shared.contract.messages.network import (
    Attachment,
    Jailed,
    NatAllow,
    NatApply,
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

    def __init__(self, paths: Paths, log: Log, config: Config, identity: Identity) -> None:
        super().__init__("nat", paths, log)
        self._reconciler: Reconciler | None = None
        self._config = config
        self._identity = identity

    async def on_start(self) -> None:
        if self._identity.bridge:
            self._lock = await own(self._identity.state_dir / "nat.lock")
            self._reconciler = Reconciler(self, self._config, self._identity)

    def accepts_broker(self) -> bool:
        """Check the user's directory each time: it may have been replaced meanwhile."""
        if not self._identity.external:
            return True
        try:
            check_private(self.paths.run, owner=self._identity.owner)
        except (BangerError, OSError) as error:
            self.log.error("the run directory is no longer the user's alone", error=str(error))
            self.stopping.set()
            return False
        return True

    async def on_stop(self) -> None:
        if self._reconciler:
            await self._reconciler.close()

    @handles(nat.ATTACH)
    async def attach(self, request: NatAttach, _call: Call) -> Attachment:
        """Answer when the tap is in place; another call changes nothing."""
        return await self._in_bridge_mode().attach(request.id)

    @handles(nat.ALLOW)
    async def allow(self, request: NatAllow, _call: Call) -> None:
        """Answer when the VM can reach the addresses, so that dns may give them to it."""
        await self._in_bridge_mode().allow(request)

    @handles(nat.APPLY)
    async def apply(self, request: NatApply, _call: Call) -> None:
        """Answer when the kernel has what the store says now."""
        await self._in_bridge_mode().apply(request.id)

    @handles(nat.JAIL)
    async def jail(self, request: NatJail, _call: Call) -> Jailed:
        """Start the VMM of an attached VM in a jail, which becomes the owner of the tap."""
        return await self._in_bridge_mode().jail(request.id, request.bases)

    @handles(nat.UNJAIL)
    async def unjail(self, request: NatUnjail, _call: Call) -> None:
        """Signal the jailed VMM of a VM, and nothing else."""
        await self._in_bridge_mode().unjail(request.id, signal_of(request.signal))

    def status(self) -> dict[str, Any]:
        """Answered to a ping: the number of passes over the kernel."""
        return {"passes": self._reconciler.passes} if self._reconciler else {}

    def _in_bridge_mode(self) -> Reconciler:
        if self._reconciler is None:
            raise BangerError(
                Code.UNAVAILABLE,
                "the network mode is user: there is no bridge",
                hint='set network = "bridge" in the configuration, then restart the services',
            )
        return self._reconciler

    @handles(nat.STATUS)
    async def answer_status(self, _request: Empty, _call: Call) -> NatStatus:
        return await self._reconciler.status() if self._reconciler else NatStatus(enabled=False)


def signal_of(number: int) -> signal.Signals:
    """Raises ``invalid`` for a number that is no signal."""
    try:
        return signal.Signals(number)
    except ValueError:
        raise BangerError(Code.INVALID, f"there is no signal {number}") from None
