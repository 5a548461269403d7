"""Ports of the host that reach the guest while the VM runs: ``--publish``.

In user mode the VMM binds and forwards them (UDP: the relay). In bridge mode nat's rules forward
them, and a socket of this process keeps other programs from binding them.
"""

import socket
from collections.abc import Iterable
from pathlib import Path

from services.vm_supervisor.drivers.contract import Machine, UserNetwork
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.network.host_ports import bind, reserve
from services.vm_supervisor.network.modes import Forward
from shared.contract.messages.vm import NetworkMode, Publication
from shared.contract.publication import show_publication
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.vm.handle import Handle


class PublishedPorts:
    """The published ports of one VM. ``mode`` is the VM's network mode."""

    def __init__(self, mode: NetworkMode, run: Path, log: Log) -> None:
        self._user_mode = mode == "user"
        self._run = run
        self._log = log
        self._network: UserNetwork | None = None
        self._held: dict[Publication, socket.socket | None] = {}

    def reserve(self, wanted: list[Publication]) -> None:
        """Reserve all ports, before there is a VMM. Raises as ``host_ports.bind``, and then holds
        none of them."""
        take = bind_for_a_moment if self._user_mode else reserve
        try:
            for publication in wanted:
                self._held[publication] = take(publication)
        except BangerError:
            self.release()
            raise

    async def begin(self, machine: Machine, handle: Handle) -> None:
        """Open the reserved ports now that the VMM runs. Raises ``conflict`` when a port was taken
        meanwhile."""
        self._join(machine)
        if self._network and self._held:
            reserved = list(self._held)
            self.release()
            for publication in reserved:
                await self._open(publication)
            self._note(handle, reserved)

    async def take_over(self, machine: Machine, handle: Handle, wanted: list[Publication]) -> None:
        """Open what an earlier supervisor published: the VMM still holds its TCP ports, the others
        are opened again. A port that another program has now is logged and left out."""
        self._join(machine)
        there = [p for p in handle.publish if self._network and p.protocol == "tcp"]
        for publication in without(there, wanted):
            await self._close(publication)
        for publication in without(wanted, there):
            try:
                await self._open(publication)
            except BangerError as error:
                if error.code is Code.NOT_RUNNING:
                    return
                port = show_publication(publication)
                self._log.warning("not published any more", port=port, error=error.message)
        self._note(handle, wanted)

    async def change(
        self, before: list[Publication], wanted: list[Publication], handle: Handle
    ) -> None:
        """Publish ``wanted`` in place of ``before``. When one cannot be, all stays as it was.

        Raises:
            BangerError: as ``host_ports.bind``; ``not_running``.
        """
        opened: list[Publication] = []
        try:
            for publication in without(wanted, before):
                await self._open(publication)
                opened.append(publication)
        except BangerError:
            for publication in opened:
                await self._close(publication)
            raise
        for publication in without(before, wanted):
            await self._close(publication)
        self._note(handle, wanted)

    def release(self) -> None:
        """Give up the reserved ports: the VMM has ended, or binds them itself."""
        for held in self._held.values():
            if held:
                held.close()
        self._held.clear()

    def _join(self, machine: Machine) -> None:
        self._network = machine.user_network if self._user_mode else None

    async def _open(self, publication: Publication) -> None:
        if self._network:
            bind_for_a_moment(publication)
            await self._network.add_forward(forward_of(publication))
        else:
            self._held[publication] = reserve(publication)

    async def _close(self, publication: Publication) -> None:
        if self._network:
            await self._network.remove_forward(forward_of(publication))
        elif held := self._held.pop(publication, None):
            held.close()

    def _note(self, handle: Handle, published: list[Publication]) -> None:
        handle.publish = published if self._network else []
        note_handle(self._run, handle, self._log)


def bind_for_a_moment(publication: Publication) -> None:
    """Refuse a port that is taken, and name its holder, which the VMM's own error does not."""
    bind(publication.protocol, publication.host_address, publication.host_port).close()


def forward_of(publication: Publication) -> Forward:
    return Forward(
        publication.protocol,
        publication.host_address,
        publication.host_port,
        publication.guest_port,
    )


def without(some: Iterable[Publication], others: Iterable[Publication]) -> list[Publication]:
    return [publication for publication in some if publication not in others]
