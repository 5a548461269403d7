"""Holds the ports of a VM that is asleep, and wakes it when somebody comes.

The kernel takes connections and datagrams and keeps what clients send; nothing is read here. When
the VM's machine is loaded and its guest does not run yet, all connections are accepted, and each
port is given back to the VMM. Once the guest runs, every connection is led to it
(held_connection.py), and datagrams with their socket. docs/decisions/0057 says what that costs.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.network.host_ports import bind
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports.held_connection import HeldConnection
from shared.bus.background import Run, contain
from shared.errors import BangerError
from shared.logs import Log

MOST_HELD = 64
"""Connections that are led to the guest; further ones are reset."""
WAITING = 128
"""Connections that wait at each port."""
DATAGRAM_BYTES = 1 << 20
"""What the kernel keeps of datagrams for each port, with its own overhead."""


@dataclass
class _Held:
    forward: Forward
    bound: socket.socket


class PlaceHolder:
    """In the place of one VM. ``woken`` is called once, when somebody has come; in bridge mode
    ``guest`` is where connections are led to, in user mode it is empty: to their own port."""

    def __init__(self, log: Log, woken: Callable[[], None], guest: str = "") -> None:
        self._log = log
        self._woken = woken
        self._guest = guest
        self._held: list[_Held] = []
        self._connections: list[tuple[HeldConnection, Forward]] = []
        self._relays: set[asyncio.Task[None]] = set()
        self.led = 0
        """Connections that were led to the guest."""
        self.payload_seen = False
        """Whether something was sent on one of them, or to a UDP port."""

    def holds(self, forward: Forward) -> bool:
        """Whether its port is held now."""
        return any(held.forward == forward for held in self._held)

    def listen(self, forwards: Iterable[Forward]) -> None:
        """Hold these ports, unless they are held. One that another program has is logged and left
        out."""
        for forward in [each for each in forwards if not self.holds(each)]:
            try:
                bound = bind(forward.protocol, forward.host, forward.port)
            except BangerError as error:
                self._log.warning("a port does not wake the VM", error=error.message)
                continue
            bound.setblocking(False)
            if forward.protocol == "tcp":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.listen(WAITING)
            else:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BYTES)
            self._held.append(_Held(forward, bound))

    def attend(self) -> None:
        """Wake the VM when somebody comes, or has come already."""
        loop = asyncio.get_running_loop()
        for held in self._held:
            loop.add_reader(held.bound, self._somebody_came)

    def _somebody_came(self) -> None:
        self.ignore()
        self._woken()

    def ignore(self) -> None:
        """Wake nobody from now on: the VM is on its way."""
        loop = asyncio.get_running_loop()
        for held in self._held:
            loop.remove_reader(held.bound)

    async def hand_over(self, network: UserNetwork | None) -> list[Forward]:
        """Accept what is there, and give TCP ports back; in user mode to the VMM's ``network``.
        Returns the forwards that are made then.

        A client that comes in the moment between the two is refused, as by a guest that restarts
        its server.

        Raises:
            BangerError: ``not_running`` when the VMM is gone.
        """
        made: list[Forward] = []
        for held in [held for held in self._held if held.forward.protocol == "tcp"]:
            self._accept(held)
            self._held.remove(held)
            held.bound.close()
            if network:
                await network.add_forward(held.forward)
                made.append(held.forward)
        return made

    def _accept(self, held: _Held) -> None:
        while True:
            try:
                client, _ = held.bound.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # no descriptor is left
                self._log.warning("a connection was not accepted", error=str(error))
                return
            connection = HeldConnection(client)
            if len(self._connections) < MOST_HELD:
                self._connections.append((connection, held.forward))
            else:
                connection.refuse()

    async def relay(self, network: UserNetwork | None) -> list[Forward]:
        """The guest runs: lead everybody to it. Returns the forwards of UDP ports."""
        for connection, forward in self._connections:
            target = (self._guest, forward.guest_port) if self._guest else connection.address
            relay = partial(connection.relay, target, self._note_payload)
            task = asyncio.create_task(_contained(relay, self._log))
            self._relays.add(task)
            task.add_done_callback(self._relays.discard)
        self.led += len(self._connections)
        self._connections.clear()
        made, udp = [], [held for held in self._held if network]
        for held in udp:
            assert network
            self._held.remove(held)
            try:
                await network.add_forward(held.forward, held.bound)
                made.append(held.forward)
            except BangerError as error:
                held.bound.close()
                self._log.warning("a UDP port was lost", error=error.message)
        return made

    def _note_payload(self) -> None:
        self.payload_seen = True

    def close(self) -> None:
        """Give all ports up, and reset whoever waits. Connections that were led to the guest stay
        as long as this process does."""
        self.ignore()
        for held in self._held:
            held.bound.close()
        self._held.clear()
        for connection, _ in self._connections:
            connection.refuse()
        self._connections.clear()


async def _contained(relay: Run, log: Log) -> None:
    await contain("relay", relay, log)
