"""From a row to a running VMM: disks, keys, initrd, network, and the VMM itself.

What fails before there is a VMM leaves the VM as it was. The guest's own part is readiness.py.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from services.vm_supervisor.disks.uninterrupted import in_thread, to_its_end
from services.vm_supervisor.drivers.contract import (
    Driver,
    Jailer,
    Machine,
    MachineSpec,
    PortTaken,
    VmPlace,
)
from services.vm_supervisor.drivers.registry import make_driver
from services.vm_supervisor.guest.agent import LINE_MAX
from services.vm_supervisor.guest.channel import OpenChannel, open_channel
from services.vm_supervisor.guest.ssh import write_known_hosts
from services.vm_supervisor.launch.beginning import (
    NO_MEMORY,
    beginning_of,
    make_disks,
    vmm_of_memory,
)
from services.vm_supervisor.launch.drives import drives_of
from services.vm_supervisor.launch.facts import facts_of_machine, refuse_different
from services.vm_supervisor.launch.identity import identity_of, keys_of
from services.vm_supervisor.launch.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.launch.plan import LaunchPlan
from services.vm_supervisor.network.modes import (
    GuestNetwork,
    bridge_network,
    choose_port,
    user_network,
)
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.network import Attachment
from shared.contract.messages.vm import VmmWanted
from shared.contract.ssh_access import Access
from shared.errors import BangerError
from shared.log_limit import keep_end
from shared.paths import Paths, make_private
from shared.vm import files, known_hosts
from shared.vm.handle import Handle, remove_handle, write_handle
from shared.vm.publish_saved import discard
from shared.vm.saved import MachineFacts
from shared.vmm.accelerator import Accelerator
from shared.vmm.choice import choose
from shared.vmm.info import Channel, LaunchContext

ReportProgress = Callable[[str, str], None]
"""Called with a stage and a sentence about it."""
SSH_PORTS = (22, 2222)
"""Preferred ports of the VM's own loopback address: 22 where the host allows it, else 2222."""
KILL_SECONDS = 5.0
"""How soon a VMM that was killed is expected to be gone."""


class NatVerbs(Jailer, Protocol):
    """What ``nat`` does for a launch. Raises what its verbs do."""

    async def attach(self, vm_id: str) -> Attachment:
        """The VM's tap, on the bridge."""


@dataclass(frozen=True)
class VmmLauncher:
    """What a launch needs besides the VM itself."""

    paths: Paths
    config: Config
    nat: NatVerbs

    async def launch(
        self,
        spec: SupervisorSpec,
        ports: PublishedPorts,
        report: ReportProgress,
        asleep: AsleepPorts | None = None,
    ) -> RunningVm:
        """Make what is missing, start the VMM, write the handle and open the published ports.
        ``asleep`` has the ports of a VM that wakes, and gives them to the VMM.

        Raises:
            BangerError: ``missing_tool``, ``no_space``, ``not_found``, ``conflict`` for a port
                that is taken, and what ``nat`` says.
        """
        if asleep is None:
            ports.reserve(spec.vm.publish)
        try:
            return await self._launch(spec, ports, report, asleep)
        except BaseException:
            ports.release()
            raise

    async def _launch(
        self,
        spec: SupervisorSpec,
        ports: PublishedPorts,
        report: ReportProgress,
        asleep: AsleepPorts | None,
    ) -> RunningVm:
        place = self._place(spec.vm.id)
        make_private(place.state)
        driver = self._driver(await self._choose(spec, report))
        report("disks", "preparing disks and keys")
        ssh_port = asleep.ssh_port if asleep else None
        saved, network, keys = await asyncio.gather(
            in_thread(make_disks, spec, place.state),
            self._network(spec, ssh_port),
            keys_of(self.paths, spec.vm),
        )
        plan = await self._plan(spec, driver, network, keys.host.public, report)
        plan.asleep, plan.spec = asleep, replace(plan.spec, holds_ports=ssh_port is not None)
        if saved:
            facts = await self._facts(spec, driver, plan.spec.accelerator)
            refuse_different(saved, facts, spec.vm.name, NO_MEMORY.format(name=spec.vm.name))
            plan.facts, plan.beginning = facts, beginning_of(saved, spec.vm)
        else:
            plan.facts = await self._facts_if_known(spec, driver, plan.spec.accelerator)
            agent, drives = driver.info.agent, plan.spec.drives
            identity = identity_of(spec, network, drives, agent, keys)
            modules = Path(spec.kernel) / "initrd-modules.cpio"
            write_initrd(plan.spec.initrd, modules, identity)
        try:
            return await self._start_vmm(plan, ports)
        except PortTaken:
            # Found free a moment ago; another user's VM may have the same loopback address.
            network = await self._network(spec)
            plan.access = replace(plan.access, port=network.access_port)
            plan.spec = replace(plan.spec, network=network)
            return await self._start_vmm(plan, ports)

    async def facts(self, spec: SupervisorSpec, vmm: VmmWanted) -> MachineFacts:
        """What a start of the VM by ``vmm`` would be like now. Raises as ``launch``."""
        driver = self._driver(await self._choose(spec, _say_nothing, vmm))
        context = self._context(spec, _say_nothing, "")
        accelerator = await asyncio.to_thread(driver.info.accelerator, context)
        return await self._facts(spec, driver, accelerator)

    async def identity(self, spec: SupervisorSpec, agent: Channel) -> GuestIdentity:
        """What a guest of this VM is to be, whatever it was made of."""
        state = self._place(spec.vm.id).state
        network, keys = await asyncio.gather(self._network(spec), keys_of(self.paths, spec.vm))
        drives = drives_of(Path(spec.image), Path(spec.kernel), state)
        return identity_of(spec, network, drives, agent, keys)

    async def adopt(self, handle: Handle) -> RunningVm:
        """Take over the VMM of ``handle``. Raises ``not_running`` when it is gone."""
        driver = self._driver(handle.vmm)
        machine = driver.adopt(self._place(handle.vm_id), handle.process, handle.console_start)
        await machine.attach()
        return RunningVm(machine, handle, driver.info, adopted=True)

    def _place(self, vm_id: str) -> VmPlace:
        return VmPlace(vm_id, self.paths.vm_run(vm_id), self.paths.vm_state(vm_id))

    def _driver(self, name: str) -> Driver:
        return make_driver(name, self.config, self.nat)

    async def _start_vmm(self, plan: LaunchPlan, ports: PublishedPorts) -> RunningVm:
        spec, saved = plan.spec, plan.saved
        plan.driver.prepare(spec, saved)
        for name in files.GUEST_WRITTEN:
            # A disk that is too full for it is no reason not to start.
            with contextlib.suppress(OSError):
                keep_end(spec.state / name)
        machine = await plan.driver.launch(spec, saved)
        try:
            handle = plan.handle_of(machine)
            write_handle(spec.run, handle)
            running = RunningVm(machine, handle, plan.driver.info)
            await machine.attach()
            await ports.begin(machine, handle)
            if plan.asleep:
                await plan.asleep.hand_over(running, ports)
            if saved:
                # Its memory is given up there: from then on it runs, or has lost it.
                running.channel = await _channel_of(machine)
                await to_its_end(_let_go_on(machine, handle, saved, spec.run))
        except BaseException:
            # Also when it has no handle: nobody would find it again.
            await _undo(machine, spec.run)
            raise
        return running

    async def _choose(
        self, spec: SupervisorSpec, report: ReportProgress, wanted: VmmWanted = ""
    ) -> str:
        """The VMM, asked for at each start: what the host can do may have changed. Memory that was
        saved is of use to one of them."""
        context = self._context(spec, report, "vmm")
        wanted = wanted or vmm_of_memory(spec, self._place(spec.vm.id).state) or spec.vm.vmm
        choice = await asyncio.to_thread(choose, wanted, spec.vm.network, context)
        return choice.vmm

    def _context(self, spec: SupervisorSpec, report: ReportProgress, stage: str) -> LaunchContext:
        """For a question that a thread asks; what it says is reported on the event loop."""
        loop = asyncio.get_running_loop()
        return LaunchContext(
            self.config,
            Path(spec.kernel),
            self.paths.run,
            lambda words: loop.call_soon_threadsafe(report, stage, words),
        )

    async def _network(self, spec: SupervisorSpec, ssh_port: int | None = None) -> GuestNetwork:
        """``ssh_port``: the port that the supervisor holds for it."""
        vm = spec.vm
        if vm.network == "user":
            port = ssh_port or choose_port(vm.address, SSH_PORTS)
            return user_network(vm.id, vm.address, port, nat=vm.nat, literal=vm.allow)
        tap = await self.nat.attach(vm.id)
        address = f"{tap.address}/{tap.prefix}"
        return bridge_network(vm.id, tap.tap, address, tap.gateway, (tap.gateway,), tap.address6)

    async def _plan(
        self,
        spec: SupervisorSpec,
        driver: Driver,
        network: GuestNetwork,
        host_key: str,
        report: ReportProgress,
    ) -> LaunchPlan:
        """The launch of a VM whose disks are there. ssh will know the guest by ``host_key``."""
        machine = await self._describe(spec, driver, network, report)
        access = access_to(self.paths, spec.vm.id, network.access_host, network.access_port)
        write_known_hosts(access, host_key)
        names = known_hosts.names_of(spec.vm.id, spec.vm.name, access.host, access.port)
        known_hosts.pin(self.paths.known_hosts, names, " ".join(host_key.split()[:2]))
        return LaunchPlan(driver, machine, access)

    async def _describe(
        self, spec: SupervisorSpec, driver: Driver, network: GuestNetwork, report: ReportProgress
    ) -> MachineSpec:
        place = self._place(spec.vm.id)
        context = self._context(spec, report, "accelerator")
        accelerator = await asyncio.to_thread(driver.info.accelerator, context)
        return MachineSpec(
            place=place,
            vcpus=spec.vm.vcpu,
            memory_mib=spec.vm.memory_mib,
            accelerator=accelerator,
            kernel=Path(spec.kernel),
            initrd=place.run / files.INITRD,
            drives=drives_of(Path(spec.image), Path(spec.kernel), place.state),
            network=network,
            hardening=await asyncio.to_thread(driver.info.hardening, context),
        )

    async def _facts(
        self, spec: SupervisorSpec, driver: Driver, accelerator: Accelerator
    ) -> MachineFacts:
        """What of the machine must be the same where it is started from a saved one."""
        context = self._context(spec, _say_nothing, "")
        drives = drives_of(Path(spec.image), Path(spec.kernel), self._place(spec.vm.id).state)
        return await asyncio.to_thread(
            facts_of_machine, spec, driver.info, context, accelerator, drives
        )

    async def _facts_if_known(
        self, spec: SupervisorSpec, driver: Driver, accelerator: Accelerator
    ) -> MachineFacts | None:
        """None is no reason not to boot: the machine cannot be saved then."""
        with contextlib.suppress(BangerError):
            return await self._facts(spec, driver, accelerator)
        return None


def access_to(paths: Paths, vm_id: str, host: str, port: int) -> Access:
    """How ssh reaches the guest."""
    return Access(
        host=host,
        port=port,
        key=str(paths.ssh_key),
        known_hosts=str(paths.vm_state(vm_id) / files.KNOWN_HOSTS),
        alias=vm_id,
        control=str(paths.vm_run(vm_id) / files.SSH_SOCKET),
    )


async def _channel_of(machine: Machine) -> OpenChannel | None:
    """A connection to the agent of a guest that stands still. Behind virtio-serial the agent sees
    whether there is one, and sleeps for a tenth of a second when there is none."""
    if machine.agent.vsock_port is not None:
        return None
    async with asyncio.timeout(KILL_SECONDS):
        return await open_channel(machine.agent, LINE_MAX)


async def _let_go_on(machine: Machine, handle: Handle, saved: Path, run: Path) -> None:
    """Let a guest that was loaded run. Its memory is given up before that: while it is there, no
    guest has run since (shared/vm/at_rest.py)."""
    await in_thread(discard, saved)
    handle.loading = False
    write_handle(run, handle)
    await machine.resume()


def _say_nothing(_stage: str, _words: str) -> None:
    """Nobody waits for these questions."""


async def _undo(machine: Machine, run: Path) -> None:
    """End a VMM that is not to be used. The next one may want its files and ports at once."""
    machine.kill()
    remove_handle(run)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await machine.ended()
    await machine.close()
