"""Bridge mode at work: the projection of the store, the passes over the kernel, and the jails.

Every change that the network depends on leads to one pass in a worker thread, and so does the end
of ``PASS_SECONDS`` without one: jails that are over are swept away, then ``Host.reconcile`` brings
the network into line. Passes never overlap.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TypeVar

from services.nat.deployment.identity import Station
from services.nat.jail.jails import Jails
from services.nat.jail.plan import User
from services.nat.kernel.host import Host
from services.nat.kernel.resolved import NameRouting
from services.nat.kernel.sockets import ports_of_others
from services.nat.kernel.sysctl import Loan
from services.nat.plan.coverage import Coverage, network_view
from services.nat.plan.grants import Change, Grants, usable
from services.nat.plan.guests import Holds, guest_of, with_addresses_of_their_own
from services.nat.plan.publications import Allotment
from services.nat.plan.state import Desired, Guest, bridge_mac, tap_name
from services.nat.plan.steps import CreateBridge, Step
from shared.addresses.ula import ula_prefix
from shared.bus.actor import Actor
from shared.bus.replica.follower import Follower
from shared.config import Config
from shared.contract.messages.network import Attachment, Jailed, NatAllow, NatStatus
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch

T = TypeVar("T")

PASS_SECONDS = 30.0
"""From one pass to the next at most: other programs change the kernel without telling us."""

NAMES_SECONDS = 25.0
"""Between two attempts to have systemd-resolved know our names: one in each such pass."""


class Bridge:
    """The projection, the holds and the thread that talks to the kernel. Make it on the loop."""

    def __init__(self, actor: Actor, config: Config, station: Station) -> None:
        self._log = actor.log
        self._desired = Desired(
            bridge=config.nat.bridge,
            mac=bridge_mac(str(actor.paths.state)),
            subnet=IPv4Network(config.nat.subnet),
            owner=station.owner,
            dns_port=config.dns.port,
            prefix=ula_prefix(str(actor.paths.state)) if config.ipv6 else None,
        )
        self._distrusts = station.external
        user = User(station.owner, station.gid, station.groups, actor.paths)
        self._jails = Jails(user, config, self._desired.subnet)
        self._desired = replace(self._desired, jails=self._jails.uids)
        self._host = Host(Loan(station.keep / "ip_forward.json"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")
        server = f"{self._desired.gateway.ip}:{config.dns.port}"
        self._names = NameRouting(config.nat.bridge, server, self._desired.subnets)
        self._names_due = 0.0
        self._holds = Holds()
        self._grants = Grants()
        self._restored = False
        self._dropped: dict[str, int] = {}
        self._told: frozenset[tuple[str, str]] = frozenset()
        self._problem = ""
        self._one_at_a_time = asyncio.Lock()
        self.passes = 0
        """Over the kernel, since the start; one that failed counts too."""
        self._coverage = Coverage()
        self._changed = asyncio.Event()
        self._next_pass = time.monotonic() + PASS_SECONDS
        self._follower = Follower(actor, network_view, self._changed.set)
        self._background = actor.background
        self._keeper = self._background.keep(self._keep())

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
            address6=str(self._desired.address6_of(guest) or ""),
        )

    async def apply(self) -> None:
        await self._follower.refresh()
        await self._reconcile()

    async def allow(self, request: NatAllow) -> None:
        """Whoever calls may know of a change before we do; so a refusal is never an old row's."""
        try:
            await self._allow(request)
        except BangerError as error:
            if error.code not in (Code.DENIED, Code.NOT_RUNNING):
                raise
            await self._follower.refresh()
            await self._allow(request)

    async def _allow(self, request: NatAllow) -> None:
        vm = {vm.id: vm for vm in self._wanted()}.get(request.id)
        if vm is None:
            raise BangerError(Code.NOT_RUNNING, f"VM {request.id} is not on the bridge")
        guest = guest_of(vm, self._desired.subnet)
        if guest.nat:
            return
        addresses = [usable(address, self._desired.subnet) for address in request.addresses]
        async with self._one_at_a_time:
            now = time.monotonic()
            name = request.name.lower().removesuffix(".")
            change = self._grants.lacking(guest, name, addresses, request.seconds, now)
            if change.live:
                await self._work(self._host.allow, change.live, change.unspoken)
                self._grants.add(change, now)

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
        self._background.keep(self._sweep_after(process))
        return Jailed(pid=process.pid, start_time=process.start_time)

    async def unjail(self, vm_id: str, signum: signal.Signals) -> None:
        vm = self._follower.replica.vms.get(vm_id) or await self._row(vm_id)
        guest_of(vm, self._desired.subnet)
        await self._work(self._jails.signal, vm, signum)

    async def _sweep_after(self, process: ProcessId) -> None:
        """A jail goes with its VMM: events may all have come while that was still ending."""
        try:
            watch = Watch(process)
        except BangerError:  # it is gone already
            pass
        else:
            try:
                await watch.ended()
            finally:
                watch.close()
        async with self._one_at_a_time:
            self._coverage.forget()
        self._changed.set()

    async def _row(self, vm_id: str) -> Vm:
        await self._follower.refresh()  # the caller's own change of state must be seen first
        vm = self._follower.replica.vms.get(vm_id)
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
        await asyncio.wait({self._keeper})
        self._thread.shutdown()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._next_pass - time.monotonic()):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._reconcile_if_needed()
            except BangerError:
                continue  # it is in the log and the status; the next pass tries again
            except Exception as error:
                self._problem = f"a bug in the nat service: {error}"
                self._log.exception("a bug while reconciling")

    async def _reconcile_if_needed(self) -> None:
        """One pass when a change needs it, or when the last one is long ago."""
        async with self._one_at_a_time:
            overdue = time.monotonic() >= self._next_pass
            if overdue or not self._coverage.covers(self._wanted()):
                await self._sweep_and_pass()

    async def _reconcile(self) -> None:
        """One pass, unless one that began after this call has covered it meanwhile."""
        before = self.passes
        async with self._one_at_a_time:
            if self.passes == before or not self._coverage.covers(self._wanted()):
                await self._sweep_and_pass()

    async def _sweep_and_pass(self) -> None:
        """Without a first snapshot there is none: every tap would look leaked."""
        self._next_pass = time.monotonic() + PASS_SECONDS
        if not self._follower.replica.known:
            return
        for vm_id in await self._work(self._jails.sweep, {vm.id for vm in self._wanted()}):
            self._log.info("jail removed", vm=vm_id)
        await self._pass()

    async def _pass(self) -> None:
        self.passes += 1
        self._coverage.forget()
        wanted = self._wanted()
        try:
            await self._restore()
            desired = await self._now_desired(wanted)
            if self._names.is_set and not desired.guests:
                self._log.info("resolved reverted", failure=await self._work(self._names.revert))
            done = await self._work(self._host.reconcile, desired)
        except BangerError as error:
            self._problem = error.to_line()
            self._log.error(error.message, code=error.code.value, hint=error.hint)
            raise
        obstacles = done.observed.firewalls.obstacles
        routed = any(guest.routed for guest in desired.guests)
        self._problem = "; ".join(obstacles) if routed else ""
        self._tell_lies(done.observed.dropped)
        await self._route_names(desired, done.steps)
        self._coverage.record(wanted)
        for step in done.steps:
            self._log.info("network changed", step=type(step).__name__, of=str(step))

    def _wanted(self) -> list[Vm]:
        return self._holds.wanted(self._follower.replica.vms, time.monotonic())

    async def _restore(self) -> None:
        """What an earlier nat has allowed is in the kernel, and would go with new rules."""
        if not self._restored:
            found = Change(tuple(await self._work(self._host.allowed)))
            self._grants.add(found, time.monotonic())
            self._restored = True

    async def _now_desired(self, wanted: Sequence[Vm]) -> Desired:
        jails = await self._work(self._jails.present)
        owner = self._desired.owner
        taken = await self._work(ports_of_others, owner) if self._distrusts else None
        complaints: list[tuple[str, str]] = []
        rows = (self._guest_or_none(vm, jails.get(vm.id), complaints) for vm in wanted)
        guests = with_addresses_of_their_own(guest for guest in rows if guest)
        allotment = Allotment(taken)
        allotted = tuple(allotment.allot(guests))
        self._tell(complaints + allotment.refused)
        return self._desired.with_guests(
            allotted, tuple(self._grants.live(allotted, time.monotonic()))
        )

    def _guest_or_none(
        self, vm: Vm, jail: int | None, complaints: list[tuple[str, str]]
    ) -> Guest | None:
        """One VM that does not fit must not keep the others from the network."""
        try:
            return replace(guest_of(vm, self._desired.subnet), jail=jail)
        except BangerError as error:
            complaints.append((vm.id, error.message))
            return None

    async def _route_names(self, desired: Desired, steps: Sequence[Step]) -> None:
        """Once for each bridge, and again at most every ``NAMES_SECONDS`` while it fails."""
        made = any(isinstance(step, CreateBridge) for step in steps)
        due = not self._names.is_set and time.monotonic() >= self._names_due
        if desired.guests and (made or due):
            self._names_due = time.monotonic() + NAMES_SECONDS
            failure = await self._work(self._names.set)
            self._log.debug("resolved told of the bridge", failure=failure)

    def _tell_lies(self, dropped: Mapping[str, int]) -> None:
        """Counters start anew with the rules."""
        names = {tap_name(vm.id): vm for vm in self._wanted()}
        for tap, frames in dropped.items():
            before = self._dropped.get(tap, 0)
            new = frames - before if frames >= before else frames
            if new and (vm := names.get(tap)):
                self._log.warning(
                    f"dropped {new} frames of {vm.name} that were not its own", vm=vm.id
                )
        self._dropped = dict(dropped)

    def _tell(self, complaints: list[tuple[str, str]]) -> None:
        """Each once, for as long as it holds."""
        for vm_id, message in complaints:
            if (vm_id, message) not in self._told:
                self._log.warning(message, vm=vm_id)
        self._told = frozenset(complaints)
