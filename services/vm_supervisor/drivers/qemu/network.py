"""QEMU's user-mode network while it runs: QMP changes forwards and the guest's way out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from socket import socket

from services.vm_supervisor.drivers.exit import LINE_MAX
from services.vm_supervisor.drivers.qemu.hubs import (
    CLOSED,
    OPEN,
    WIRE,
    WIRE_PORT,
    netdev_arguments,
    network_ids,
)
from services.vm_supervisor.network.backlog import ListenBacklog
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.network.outside_filter import filter_id
from services.vm_supervisor.network.udp_relay import UdpRelay
from shared.errors import BangerError, Code
from shared.plain_text import printable

Execute = Callable[[str, dict[str, object] | None], Awaitable[object]]
"""Runs one QMP command with its arguments."""
ROOM_SECONDS = 0.05
"""From a forward to its longer queue."""


class QemuUserNetwork:
    """See ``contract.UserNetwork``."""

    def __init__(self, execute: Execute, relay: UdpRelay, backlog: ListenBacklog) -> None:
        self._execute = execute
        self._relay = relay
        self._backlog = backlog
        self._wiring = asyncio.Lock()
        self._making_room: asyncio.TimerHandle | None = None

    @property
    def obstacle(self) -> str:
        return self._backlog.obstacle

    def make_room(self) -> None:
        """Let connections wait at all forwards that there are."""
        self._making_room = None
        self._backlog.deepen()

    def _make_room_soon(self) -> None:
        """Once for many forwards: each time, all descriptors of the VMM are looked at."""
        if self._making_room is None:
            loop = asyncio.get_running_loop()
            self._making_room = loop.call_later(ROOM_SECONDS, self.make_room)

    async def add_forward(self, forward: Forward, bound: socket | None = None) -> None:
        if forward.protocol == "udp":
            await self._add_udp(forward, bound)
            return
        answer = await self._monitor(f"hostfwd_add net0 {forward_rule(forward)}")
        if answer.strip():
            raise BangerError(
                Code.CONFLICT,
                f"{forward.host} port {forward.port} cannot be forwarded: "
                f"{printable(answer.strip(), LINE_MAX)}",
            )
        self._make_room_soon()

    async def remove_forward(self, forward: Forward) -> None:
        if forward.protocol == "udp":
            await self._remove_udp(forward)
            return
        source = f"{forward.protocol}:{forward.host}:{forward.port}"
        await self._monitor(f"hostfwd_remove net0 {source}")

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        """Connect the hub of the guest's second network device to the outside, or to a closed
        network; idempotent.

        The new end is added before the old one is removed: a hub without any end keeps what it is
        sent.
        """
        new, old = (OPEN, CLOSED) if on else (CLOSED, OPEN)
        present = await self._networks()
        if on and filter_id(literal) not in present:
            raise BangerError(
                Code.CONFLICT,
                "its VMM was started with other local networks on its egress list, or before the "
                "outside had a filter",
                hint="restart the VM",
            )
        for netdev in map(netdev_arguments, new.netdevs):
            if netdev["id"] not in present:
                await self._execute("netdev_add", netdev)
        await self._remove(old.port, old.network)

    def close(self) -> None:
        if self._making_room:
            self._making_room.cancel()
        self._relay.close()

    async def _add_udp(self, forward: Forward, bound: socket | None) -> None:
        async with self._wiring:
            try:
                await self._add_wire()
                self._relay.add(forward, bound)
            finally:
                await self._remove_unused_wire()

    async def _add_wire(self) -> None:
        """Connect the relay to the hub, unless it is connected. All frames on the hub are copied to
        the relay, so the wire is there only while there are UDP ports."""
        if self._relay.used:
            return
        present = await self._networks()
        if "nic0" not in present:
            raise BangerError(
                Code.UNAVAILABLE,
                "its VMM was started by an older banger, which could not forward UDP ports",
                hint="restart the VM",
            )
        self._relay.open()
        if WIRE not in present:
            local, remote = (
                {"type": "unix", "path": str(end)}
                for end in (self._relay.vmm_end, self._relay.own_end)
            )
            wire: dict[str, object] = {"type": "dgram", "id": WIRE}
            await self._execute("netdev_add", wire | {"local": local, "remote": remote})
        if WIRE_PORT not in present:
            await self._execute(
                "netdev_add", netdev_arguments(f"hubport,id={WIRE_PORT},hubid=1,netdev={WIRE}")
            )

    async def _remove_udp(self, forward: Forward) -> None:
        async with self._wiring:
            self._relay.remove(forward)
            await self._remove_unused_wire()

    async def _remove_unused_wire(self) -> None:
        if not self._relay.used:
            await self._remove(WIRE_PORT, WIRE)
            self._relay.close()

    async def _remove(self, *ids: str) -> None:
        """Remove those of the networks that are there."""
        present = await self._networks()
        for name in ids:
            if name in present:
                await self._execute("netdev_del", {"id": name})

    async def _networks(self) -> set[str]:
        """Ids of QEMU's networks and of the hubs' ports. A supervisor that was killed may have left
        a network without its port."""
        return network_ids(await self._monitor("info network"))

    async def _monitor(self, line: str) -> str:
        return str(await self._execute("human-monitor-command", {"command-line": line}))


def forward_rule(forward: Forward) -> str:
    """QEMU's hostfwd syntax: tcp:127.77.0.2:8080-:80."""
    return f"{forward.protocol}:{forward.host}:{forward.port}-:{forward.guest_port}"
