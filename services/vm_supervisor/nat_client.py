"""What a supervisor asks of ``nat``: a tap on the bridge, and a jail for a VMM."""

import signal
from collections.abc import Sequence

from shared.bus.actor import Actor
from shared.contract.messages.network import Attachment
from shared.contract.verbs import nat
from shared.host.process import ProcessId


class NatClient:
    """Asks by the bus of ``actor``. Every method raises what its verb does."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    async def attach(self, vm_id: str) -> Attachment:
        """The VM's tap, on the bridge."""
        return await self._actor.ask(nat.ATTACH(id=vm_id))

    async def jail(self, vm_id: str, bases: Sequence[str]) -> ProcessId:
        """Start the VM's VMM in a jail."""
        jailed = await self._actor.ask(nat.JAIL(id=vm_id, bases=list(bases)))
        return ProcessId(jailed.pid, jailed.start_time)

    async def signal(self, vm_id: str, signum: signal.Signals) -> None:
        """Signal the VM's jailed VMM."""
        await self._actor.ask(nat.UNJAIL(id=vm_id, signal=signum))
