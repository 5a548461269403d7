"""Bridge mode at work: which VMs have the network, and when the kernel is brought into line.

One pass removes jails whose VM is no longer up, then updates the network (kernel/network.py). Every
change that the network depends on leads to one pass (plan/coverage.py), and at the latest
``PASS_SECONDS`` after the last pass there is another. Passes never overlap.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from ipaddress import IPv4Network

from services.nat.deployment.identity import Identity
from services.nat.jail.jails import Jails
from services.nat.jail.plan import JailUser
from services.nat.kernel.network import BridgeNetwork
from services.nat.kernel.thread import KernelThread
from services.nat.plan.coverage import Coverage, network_view
from services.nat.plan.guests import TapHolds, bare_guest, guest_of
from services.nat.plan.state import Desired, bridge_mac
from shared.addresses.ula import ula_prefix
from shared.bus.actor import Actor
from shared.bus.replica.follower import Follower
from shared.config import Config
from shared.contract.messages.network import Attachment, Jailed, NatAllow, NatStatus
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch
from shared.paths import Paths

PASS_SECONDS = 30.0
"""The longest time between two passes, because other programs change the kernel unnoticed."""


class Reconciler:
    """The verbs of nat in bridge mode. Create it on the event loop."""

    def __init__(self, actor: Actor, config: Config, identity: Identity) -> None:
        self._log = actor.log
        self._thread = KernelThread()
        user = JailUser(identity.owner, identity.gid, identity.groups, actor.paths)
        self._jails = Jails(user, config, IPv4Network(config.nat.subnet))
        self._network = BridgeNetwork(
            _without_guests(actor.paths, config, identity.owner, self._jails.uids),
            identity.state_dir / "ip_forward.json",
            self._thread,
            actor.log,
            untrusted=identity.external,
        )
        self._holds = TapHolds()
        self.passes = 0
        """The number of passes since the start, including failed ones."""
        self._coverage = Coverage()
        self._passing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._next_pass = time.monotonic() + PASS_SECONDS
        self._follower = Follower(actor, network_view, self._on_change)
        self._background = actor.background
        self._keeper = self._background.spawn(self._keep())

    def _on_change(self) -> None:
        self._holds.notice(self._follower.replica.vms)
        self._changed.set()

    async def attach(self, vm_id: str) -> Attachment:
        """Give a VM its tap; answers when the kernel has it."""
        vm = await self._row(vm_id)
        base = self._network.base
        guest = guest_of(vm, base.subnet)
        self._holds.hold(vm_id, time.monotonic())
        await self._reconcile()
        return Attachment(
            tap=guest.tap,
            mac=guest.mac,
            address=str(guest.address),
            prefix=base.gateway.network.prefixlen,
            gateway=str(base.gateway.ip),
            address6=str(base.address6_of(guest) or ""),
        )

    async def apply(self, vm_id: str) -> None:
        """Answer when the kernel has what the store says now; raises ``conflict`` for what it
        cannot have of this VM's row."""
        await self._follower.refresh()
        await self._reconcile()
        self._network.refuse_unapplied(vm_id)

    async def allow(self, request: NatAllow) -> None:
        """Answer when the VM can reach these addresses. A caller may know of a change before nat
        does, so nothing is refused because of an old row."""
        try:
            await self._allow(request)
        except BangerError as error:
            if error.code not in (Code.DENIED, Code.NOT_RUNNING):
                raise
            await self._follower.refresh()
            await self._allow(request)

    async def _allow(self, request: NatAllow) -> None:
        async with self._passing:
            if not self.passes:  # the loaded sets may be those of an earlier build
                await self._sweep_and_pass()
            vm = {vm.id: vm for vm in self._wanted()}.get(request.id)
            if vm is None:
                raise BangerError(Code.NOT_RUNNING, f"VM {request.id} is not on the bridge")
            await self._network.allow(vm, request)

    async def jail(self, vm_id: str, bases: Sequence[str]) -> Jailed:
        """Start the VMM of an attached VM in a jail."""
        vm = await self._row(vm_id)
        guest_of(vm, self._network.base.subnet)  # the jail's uid is derived from a valid address
        if vm_id not in {wanted.id for wanted in self._wanted()}:
            raise BangerError(
                Code.CONFLICT, f"VM {vm.name} is not attached", hint="call nat.attach first"
            )
        async with self._passing:
            await self._thread.run(self._jails.prepare, vm)
            await self._pass()
            process = await self._thread.run(self._jails.start, vm, bases)
        self._log.info("jailed", vm=vm_id, of=process.pid)
        self._background.spawn(self._sweep_after(process))
        return Jailed(pid=process.pid, start_time=process.start_time)

    async def unjail(self, vm_id: str, signum: signal.Signals) -> None:
        """Signal the jailed VMM of a VM."""
        vm = self._follower.replica.vms.get(vm_id) or await self._row(vm_id)
        bare_guest(vm, self._network.base.subnet)
        await self._thread.run(self._jails.signal, vm, signum)

    async def status(self) -> NatStatus:
        base = self._network.base
        return NatStatus(
            enabled=True,
            bridge=base.bridge,
            subnet=str(base.subnet),
            taps=await self._network.taps(),
            problem=self._network.problem,
        )

    async def close(self) -> None:
        """Stop following the store. The network stays as it is."""
        await self._follower.close()
        self._keeper.cancel()
        await asyncio.wait({self._keeper})
        self._thread.close()

    async def _row(self, vm_id: str) -> Vm:
        await self._follower.refresh()  # the row must have the caller's own change of state
        vm = self._follower.replica.vms.get(vm_id)
        if vm is None:
            raise BangerError(Code.NOT_FOUND, f"there is no VM {vm_id}")
        return vm

    def _wanted(self) -> list[Vm]:
        return self._holds.wanted(self._follower.replica.vms, time.monotonic())

    async def _sweep_after(self, process: ProcessId) -> None:
        """Remove a jail when its VMM ends: all events of the VM may have arrived before that."""
        with contextlib.suppress(BangerError):  # the process has ended already
            watch = Watch(process)
            try:
                await watch.ended()
            finally:
                watch.close()
        async with self._passing:
            self._coverage.forget()
        self._changed.set()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._next_pass - time.monotonic()):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._reconcile_if_needed()
            except BangerError:
                continue  # it is in the log and in the status; the next pass tries again
            except Exception as error:
                self._network.problem = f"a bug in the nat service: {error}"
                self._log.exception("a bug while reconciling")

    async def _reconcile_if_needed(self) -> None:
        """Make a pass if a change needs it, or if the last pass was too long ago."""
        async with self._passing:
            overdue = time.monotonic() >= self._next_pass
            if overdue or not self._coverage.covers(self._wanted()):
                await self._sweep_and_pass()

    async def _reconcile(self) -> None:
        """Make a pass, unless one that began after this call has succeeded meanwhile."""
        before = self.passes
        async with self._passing:
            if self.passes == before or not self._coverage.covers(self._wanted()):
                await self._sweep_and_pass()

    async def _sweep_and_pass(self) -> None:
        """Does nothing before the first snapshot, when every tap would seem left over."""
        self._next_pass = time.monotonic() + PASS_SECONDS
        if not self._follower.replica.known:
            return
        for vm_id in await self._thread.run(self._jails.sweep, {vm.id for vm in self._wanted()}):
            self._log.info("jail removed", vm=vm_id)
        await self._pass()

    async def _pass(self) -> None:
        self.passes += 1
        self._coverage.forget()
        wanted = self._wanted()
        jails = await self._thread.run(self._jails.present)
        await self._network.update(wanted, jails)
        self._coverage.record(wanted)


def _without_guests(paths: Paths, config: Config, owner: int, jails: range) -> Desired:
    return Desired(
        bridge=config.nat.bridge,
        mac=bridge_mac(str(paths.state)),
        subnet=IPv4Network(config.nat.subnet),
        owner=owner,
        jails=jails,
        dns_port=config.dns.port,
        prefix=ula_prefix(str(paths.state)) if config.ipv6 else None,
        private=config.nat.private,
    )
