"""User mode: every port the guest listens on appears on the VM's own loopback address.

The agent says what listens, QEMU forwards it. Asked every second, since no event exists for it.
"""

import asyncio
import time
from collections.abc import Callable

from services.vm_supervisor.drivers.driver import UserNetwork
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import Listeners
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.network import Forward, choose_port
from shared.errors import BangerError, Code
from shared.logs import Log

EVERY = 1.0
MAPPED_UP = 8000
"""A port that the host keeps for root appears this much higher: 80 as 8080 is 8000 + 80."""
SSH = "tcp/22"
OUTSIDE = ("0.0.0.0", "::", "10.0.2.15")
"""Guest addresses that a forward reaches; what listens on the guest's loopback stays there."""


def wanted(listening: list[ListeningPort]) -> dict[str, int]:
    """ "tcp/80" -> 80 for every TCP port that accepts from outside, ssh excepted."""
    reachable = (p for p in listening if p.protocol == "tcp" and p.address in OUTSIDE)
    return {f"tcp/{p.port}": p.port for p in reachable if p.port != 22}


class Forwards:
    """Follows the guest's listening ports until cancelled."""

    def __init__(
        self,
        network: UserNetwork,
        agent: Agent,
        address: str,
        ports: dict[str, int],
        log: Log,
        on_change: Callable[[dict[str, int]], None],
    ) -> None:
        self._network = network
        self._listeners = Listeners(agent, "tcp")
        self._address = address
        self._ports = dict(ports)
        self._log = log
        self._on_change = on_change

    async def follow(self) -> None:
        while True:
            try:
                listening = await self._listeners.ports(time.monotonic() + 10)
                await self._reconcile(wanted(listening))
            except BangerError as error:
                if error.code is Code.NOT_RUNNING:
                    return
                self._log.debug("listening ports not known", error=error.message)
            await asyncio.sleep(EVERY)

    async def _reconcile(self, want: dict[str, int]) -> None:
        gone = [key for key in self._ports if key not in want]
        new = [key for key in want if key not in self._ports]
        for key in gone:
            guest_port = int(key.partition("/")[2])
            forward = Forward("tcp", self._address, self._ports.pop(key), guest_port)
            await self._network.remove_forward(forward)
        for key in new:
            port = choose_port(self._address, (want[key], want[key] + MAPPED_UP))
            await self._network.add_forward(Forward("tcp", self._address, port, want[key]))
            self._ports[key] = port
        if gone or new:
            self._log.info("forwards changed", ports=self._ports)
            self._on_change(dict(self._ports))
