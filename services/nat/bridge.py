"""Bridge mode at work: the projection of the store, the passes over the kernel, and the jails.

Every change of a VM, and every resync, leads to one pass in a worker thread: jails that are over
are swept away, then ``Host.reconcile`` brings the network into line. Passes never overlap.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TypeVar

from services.nat.forwarding import Loan
from services.nat.guests import Holds, guest_of, with_addresses_of_their_own
from services.nat.host import Host
from services.nat.jail.jails import Jails
from services.nat.jail.plan import User
from services.nat.state import Desired, Guest, bridge_mac
from services.nat.station import Station
from shared.bus.actor import Actor
from shared.config import Config
from shared.errors import BangerError, Code
from shared.follower import Follower
from shared.messages.network import Attachment, Jailed, NatStatus
from shared.messages.vm import Vm

T = TypeVar("T")


class Bridge:
    """The projection, the holds and the thread that talks to the kernel. Make it on the loop."""

    def __init__(self, actor: Actor, config: Config, station: Station) -> None:
        self._log = actor.log
        self._desired = Desired(
            bridge=config.nat.bridge,
            mac=bridge_mac(str(actor.paths.state)),
            subnet=IPv4Network(config.nat.subnet),
            owner=station.owner,
        )
        user = User(station.owner, station.gid, station.groups, actor.paths)
        self._jails = Jails(user, config, self._desired.subnet)
        self._desired = replace(self._desired, jails=self._jails.uids)
        self._host = Host(Loan(station.keep / "ip_forward.json"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")
        self._holds = Holds()
        self._problem = ""
        self._one_at_a_time = asyncio.Lock()
        self._dirty = asyncio.Event()
        self._follower = Follower(actor, self._dirty.set)
        self._keeper = asyncio.create_task(self._keep())

    async def attach(self, vm_id: str) -> Attachment:
        vm = await self._row(vm_id)
        guest = guest_of(vm, self._desired.subnet)
        self._holds.hold(vm_id, time.monotonic())
        await self._reconcile()
        gateway = self._desired.gateway
        return Attachment(
            tap=guest.tap,
            mac=guest.mac,
            address=str(guest.address),
            prefix=gateway.network.prefixlen,
            gateway=str(gateway.ip),
        )

    async def jail(self, vm_id: str) -> Jailed:
        vm = await self._row(vm_id)
        guest_of(vm, self._desired.subnet)  # its address is what the jail's uid is made from
        if vm_id not in {wanted.id for wanted in self._wanted()}:
            raise BangerError(
                Code.CONFLICT, f"VM {vm.name} is not about to start", hint="nat.attach comes first"
            )
        async with self._one_at_a_time:
            await self._work(self._jails.prepare, vm)
            await self._pass()
            process = await self._work(self._jails.start, vm)
        self._log.info("jailed", vm=vm_id, of=process.pid)
        return Jailed(pid=process.pid, start_time=process.start_time)

    async def unjail(self, vm_id: str, signum: signal.Signals) -> None:
        vm = self._follower.projection.vms.get(vm_id) or await self._row(vm_id)
        guest_of(vm, self._desired.subnet)
        await self._work(self._jails.signal, vm, signum)

    async def _row(self, vm_id: str) -> Vm:
        await self._follower.refresh()  # the caller's own change of state must be seen first
        vm = self._follower.projection.vms.get(vm_id)
        if vm is None:
            raise BangerError(Code.NOT_FOUND, f"there is no VM {vm_id}")
        return vm

    async def _work(self, action: Callable[..., T], *arguments: object) -> T:
        """Do it in the one thread that touches the kernel."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, action, *arguments)

    async def status(self) -> NatStatus:
        taps = await self._work(self._host.taps, self._desired.bridge)
        return NatStatus(
            enabled=True,
            bridge=self._desired.bridge,
            subnet=str(self._desired.subnet),
            taps=taps,
            problem=self._problem,
        )

    async def close(self) -> None:
        await self._follower.close()
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._thread.shutdown()

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._reconcile()
            except BangerError:
                continue  # it is in the log and the status; the next resync tries again
            except Exception as error:
                self._problem = f"a bug in the nat service: {error}"
                self._log.exception("a bug while reconciling")

    async def _reconcile(self) -> None:
        """One pass. Without a first snapshot there is none: every tap would look leaked."""
        if not self._follower.projection.known:
            return
        async with self._one_at_a_time:
            for vm_id in await self._work(self._jails.sweep, {vm.id for vm in self._wanted()}):
                self._log.info("jail removed", vm=vm_id)
            await self._pass()

    async def _pass(self) -> None:
        desired = self._with_guests(await self._work(self._jails.present))
        try:
            steps = await self._work(self._host.reconcile, desired)
        except BangerError as error:
            self._problem = error.message
            self._log.error(error.message, code=error.code.value, hint=error.hint)
            raise
        self._problem = ""
        for step in steps:
            self._log.info("network changed", step=type(step).__name__, of=str(step))

    def _wanted(self) -> list[Vm]:
        return self._holds.wanted(self._follower.projection.vms, time.monotonic())

    def _with_guests(self, jails: Mapping[str, int]) -> Desired:
        guests = (self._guest_or_none(vm, jails.get(vm.id)) for vm in self._wanted())
        known = (guest for guest in guests if guest)
        return self._desired.with_guests(tuple(with_addresses_of_their_own(known)))

    def _guest_or_none(self, vm: Vm, jail: int | None) -> Guest | None:
        """One VM that does not fit must not keep the others from the network."""
        try:
            return replace(guest_of(vm, self._desired.subnet), jail=jail)
        except BangerError as error:
            self._log.warning(error.message, vm=vm.id)
            return None
