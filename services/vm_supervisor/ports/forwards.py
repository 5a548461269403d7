"""User mode: every port that the guest listens on appears on the VM's own loopback address.

The guest's agent is asked again and again which ports these are, because no event exists for it.
The VMM forwards TCP, the relay of network/udp_relay.py UDP.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import cast

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import Listeners
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.network.modes import SOCKET_KINDS, Forward, choose_port
from shared.contract.messages.vm import Protocol
from shared.errors import BangerError, Code
from shared.logs import Log

LOOK_SECONDS = 0.75
"""From one look to the next: a port appears within a second after the guest listens."""
PAUSE = 0.25
"""Seconds that a guest that takes long to answer has to itself between two looks."""
MAPPED_UP = 8000
"""A privileged port appears this much higher: 80 as 8080 is 8000 + 80."""
OUTSIDE = ("0.0.0.0", "::", "10.0.2.15")
"""Guest addresses that a forward reaches; what listens on the guest's loopback stays there."""
CLIENTS = range(32768, 61000)
"""UDP ports that Linux chooses for sockets without one (ip_local_port_range): a resolver that waits
for its answer looks like a server. They are not forwarded; such a port can be published."""
DHCP_CLIENTS = (68, 546)
MOST_FORWARDS = 256
"""TCP ports, and as many UDP ports, that are forwarded for one VM. Each takes a descriptor of the
host, and a guest opens sockets as it likes. Any other port can be published."""

LOGGED = 32
"""Forwards that a line of the log names. A guest can change hundreds at each look."""


def wanted(listening: list[ListeningPort]) -> dict[str, int]:
    """ "tcp/80" -> 80 for every port that accepts from outside, ssh and UDP clients excepted."""
    return {
        f"{port.protocol}/{port.port}": port.port
        for port in listening
        if port.address in OUTSIDE and _serves(port)
    }


def _serves(port: ListeningPort) -> bool:
    if port.protocol == "tcp":
        return port.port != 22
    return port.port not in CLIENTS and port.port not in DHCP_CLIENTS


def within_limit(want: dict[str, int], present: dict[str, int]) -> dict[str, int]:
    """Of ``want``, the first ``MOST_FORWARDS`` of each protocol; forwards that are there stay."""
    kept: dict[str, int] = {}
    for protocol in SOCKET_KINDS:
        keys = [key for key in want if key.startswith(f"{protocol}/")]
        keys.sort(key=lambda key: key not in present)  # stable: the order is kept otherwise
        kept |= {key: want[key] for key in keys[:MOST_FORWARDS]}
    return kept


class Forwards:
    """Forwards the guest's listening ports until cancelled. ``ports`` are the forwards that an
    earlier supervisor made."""

    def __init__(
        self,
        network: UserNetwork,
        agent: Agent,
        address: str,
        ports: dict[str, int],
        log: Log,
        on_change: Callable[[dict[str, int], int], None],
        *,
        relays_udp: bool = False,
    ) -> None:
        """``on_change`` is called with all forwards, and with the number of ports beyond the
        limit. ``relays_udp``: the UDP forwards among ``ports`` were made by this supervisor."""
        self._network = network
        self._listeners = Listeners(agent, "tcp", "udp")
        self._address = address
        kept = ("tcp/", "udp/") if relays_udp else ("tcp/",)
        self._ports = {key: port for key, port in ports.items() if key.startswith(kept)}
        # The earlier supervisor's relay is gone with it; the VMM's forwards are not.
        self._lost = {key: port for key, port in ports.items() if key not in self._ports}
        self._refused: set[str] = set()
        self._beyond = 0
        self._log = log
        self._on_change = on_change

    async def follow(self) -> None:
        while True:
            next_look = time.monotonic() + LOOK_SECONDS
            try:
                listening = await self._listeners.ports(time.monotonic() + 10)
                await self._reconcile(wanted(listening))
            except BangerError as error:
                if error.code is Code.NOT_RUNNING:
                    return
                self._log.debug("listening ports not known", error=error.message)
            await asyncio.sleep(max(PAUSE, next_look - time.monotonic()))

    async def _reconcile(self, listening: dict[str, int]) -> None:
        before = dict(self._ports), self._beyond
        want = within_limit(listening, self._ports)
        self._note_limit(len(listening) - len(want))
        found = self._lost
        try:
            for key in [key for key in self._ports if key not in want]:
                await self._network.remove_forward(self._forward(key, self._ports.pop(key)))
            for key in [key for key in want if key not in self._ports]:
                await self._add(key, want[key])
            found, self._lost = self._lost, {}
        finally:
            self._refused &= want.keys()
            if found or before != (self._ports, self._beyond):
                some = dict(islice(self._ports.items(), LOGGED))
                self._log.info("forwards changed", number=len(self._ports), ports=some)
                self._on_change(dict(self._ports), self._beyond)

    def _note_limit(self, beyond: int) -> None:
        """Logged when the limit is reached, not at each change beyond it."""
        if beyond and not self._beyond:
            self._log.warning("the guest listens on more ports than are forwarded", beyond=beyond)
        self._beyond = beyond

    async def _add(self, key: str, guest_port: int) -> None:
        """Forward a port. One that cannot be forwarded is logged once and tried at each look."""
        same = self._lost.get(key, guest_port)
        preferred = (same, guest_port, guest_port + MAPPED_UP)
        try:
            port = choose_port(self._address, preferred, _protocol(key))
            await self._network.add_forward(self._forward(key, port))
        except BangerError as error:
            if error.code is Code.NOT_RUNNING:
                raise
            if key not in self._refused:
                self._refused.add(key)
                self._log.warning("a guest's port has no forward", guest=key, error=error.message)
            return
        self._ports[key] = port
        if port != guest_port:
            why = f"port {guest_port} of {self._address} is privileged or taken"
            self._log.info("a port has another number here", guest=key, here=port, reason=why)

    def _forward(self, key: str, port: int) -> Forward:
        return forward_to(self._address, key, port)


def forward_to(address: str, key: str, port: int) -> Forward:
    """``port`` of ``address`` leads to the guest's port ``key`` ("tcp/80")."""
    return Forward(_protocol(key), address, port, int(key.partition("/")[2]))


def _protocol(key: str) -> Protocol:
    return cast(Protocol, key.partition("/")[0])
