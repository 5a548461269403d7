"""From a row to a running VMM: disks, keys, initrd, network, and the VMM itself.

What fails before there is a VMM leaves the VM as it was. The guest's own part is readiness.py.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from services.vm_supervisor.disks.layout import ensure_overlay, ensure_work_disk, refuse_lost
from services.vm_supervisor.drivers.contract import (
    Driver,
    Drives,
    Jailer,
    Machine,
    MachineSpec,
    PortTaken,
    VmPlace,
)
from services.vm_supervisor.drivers.registry import make_driver
from services.vm_supervisor.guest.ssh import ensure_key, write_known_hosts
from services.vm_supervisor.launch.drives import drives_of, read_manifest
from services.vm_supervisor.launch.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.network.modes import (
    GuestNetwork,
    bridge_network,
    choose_port,
    user_network,
)
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.network import Attachment
from shared.contract.ssh_access import Access
from shared.host.boot_id import host_boot_id
from shared.log_limit import keep_end
from shared.paths import Paths, make_private
from shared.vm import files, known_hosts
from shared.vm.handle import Handle, remove_handle, write_handle
from shared.vmm.accelerator import Accelerator
from shared.vmm.choice import choose
from shared.vmm.info import LaunchContext

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
        self, spec: SupervisorSpec, ports: PublishedPorts, report: ReportProgress
    ) -> RunningVm:
        """Make what is missing, start the VMM, write the handle and open the published ports.

        Raises:
            BangerError: ``missing_tool``, ``no_space``, ``not_found``, ``conflict`` for a port
                that is taken, and what ``nat`` says.
        """
        ports.reserve(spec.vm.publish)
        try:
            return await self._launch(spec, ports, report)
        except BaseException:
            ports.release()
            raise

    async def _launch(
        self, spec: SupervisorSpec, ports: PublishedPorts, report: ReportProgress
    ) -> RunningVm:
        vm, place = spec.vm, self._place(spec.vm.id)
        make_private(place.state)
        driver = self._driver(await self._choose(spec, report))
        report("disks", "preparing disks and keys")
        refuse_lost(place.state)
        drives = drives_of(Path(spec.image), Path(spec.kernel), place.state)
        network, host_key, user_key, *_ = await asyncio.gather(
            self._network(spec),
            asyncio.to_thread(ensure_key, place.state / files.HOST_KEY, f"banger {vm.name}"),
            asyncio.to_thread(ensure_key, self.paths.ssh_key),
            asyncio.to_thread(ensure_overlay, place.state / files.OVERLAY, vm.overlay_bytes),
            asyncio.to_thread(ensure_work_disk, place.state / files.WORK_DISK, vm.disk_bytes),
        )
        access = access_to(self.paths, vm.id, network.access_host, network.access_port)
        write_known_hosts(access, host_key.public)
        names = known_hosts.names_of(vm.id, vm.name, access.host, access.port)
        known_hosts.pin(self.paths.known_hosts, names, " ".join(host_key.public.split()[:2]))
        identity = GuestIdentity(
            hostname=vm.name,
            machine_id=hashlib.sha256(vm.id.encode()).hexdigest()[:32],
            host_key=host_key.private,
            authorized_keys=user_key.public,
            kernel_version=read_manifest(Path(spec.kernel))["version"],
            network=network,
            agent=driver.info.agent,
            drives=drives,
        )
        modules = Path(spec.kernel) / "initrd-modules.cpio"
        write_initrd(place.run / files.INITRD, modules, identity)
        context = self._context(spec, report, "accelerator")
        accelerator = await asyncio.to_thread(driver.info.accelerator, context)
        hardening = await asyncio.to_thread(driver.info.hardening, context)
        machine_spec = self._machine_spec(spec, drives, network, accelerator, hardening)
        try:
            return await self._start_vmm(driver, machine_spec, access, ports)
        except PortTaken:
            # Found free a moment ago; another user's VM may have the same loopback address.
            network = await self._network(spec)
            access = replace(access, port=network.access_port)
            machine_spec = replace(machine_spec, network=network)
            return await self._start_vmm(driver, machine_spec, access, ports)

    async def adopt(self, handle: Handle) -> RunningVm:
        """Take over the VMM of ``handle``. Raises ``not_running`` when it is gone."""
        driver = self._driver(handle.vmm)
        machine = driver.adopt(self._place(handle.vm_id), handle.process, handle.console_start)
        await machine.attach()
        return RunningVm(machine, handle, driver.info)

    def _place(self, vm_id: str) -> VmPlace:
        return VmPlace(vm_id, self.paths.vm_run(vm_id), self.paths.vm_state(vm_id))

    def _driver(self, name: str) -> Driver:
        return make_driver(name, self.config, self.nat)

    async def _start_vmm(
        self, driver: Driver, spec: MachineSpec, access: Access, ports: PublishedPorts
    ) -> RunningVm:
        driver.prepare(spec)
        for name in files.GUEST_WRITTEN:
            # A disk that is too full for it is no reason not to start.
            with contextlib.suppress(OSError):
                keep_end(spec.state / name)
        machine = await driver.launch(spec)
        try:
            handle = _handle_of(machine, driver, spec, access)
            write_handle(spec.run, handle)
            await machine.attach()
            await ports.begin(machine, handle)
        except BaseException:
            # Also when it has no handle: nobody would find it again.
            await _undo(machine, spec.run)
            raise
        return RunningVm(machine, handle, driver.info)

    async def _choose(self, spec: SupervisorSpec, report: ReportProgress) -> str:
        """The VMM, asked for at each start: what the host can do may have changed."""
        context = self._context(spec, report, "vmm")
        choice = await asyncio.to_thread(choose, spec.vm.vmm, spec.vm.network, context)
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

    async def _network(self, spec: SupervisorSpec) -> GuestNetwork:
        vm = spec.vm
        if vm.network == "user":
            port = choose_port(vm.address, SSH_PORTS)
            return user_network(vm.id, vm.address, port, nat=vm.nat, literal=vm.allow)
        tap = await self.nat.attach(vm.id)
        address = f"{tap.address}/{tap.prefix}"
        return bridge_network(vm.id, tap.tap, address, tap.gateway, (tap.gateway,), tap.address6)

    def _machine_spec(
        self,
        spec: SupervisorSpec,
        drives: Drives,
        network: GuestNetwork,
        accelerator: Accelerator,
        hardening: tuple[str, ...],
    ) -> MachineSpec:
        vm, place = spec.vm, self._place(spec.vm.id)
        return MachineSpec(
            place=place,
            vcpus=vm.vcpu,
            memory_mib=vm.memory_mib,
            accelerator=accelerator,
            kernel=Path(spec.kernel),
            initrd=place.run / files.INITRD,
            drives=drives,
            network=network,
            hardening=hardening,
        )


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


def _handle_of(machine: Machine, driver: Driver, spec: MachineSpec, access: Access) -> Handle:
    return Handle(
        vm_id=spec.place.vm_id,
        host_boot=host_boot_id(),
        pid=machine.process.pid,
        start_time=machine.process.start_time,
        vmm=driver.info.name,
        accel=spec.accelerator.accel.value,
        access=access,
        console_start=machine.console_start,
    )


async def _undo(machine: Machine, run: Path) -> None:
    """End a VMM that is not to be used. The next one may want its files and ports at once."""
    machine.kill()
    remove_handle(run)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await machine.ended()
    await machine.close()
