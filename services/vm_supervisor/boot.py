"""From a row to a guest that answers: disks, keys, initrd, VMM, agent, ssh.

``launch`` is everything up to a running VMM; what fails before that leaves the VM as it was.
``await_ready`` is the guest's own part; it raises ``guest_failed`` with the likely cause.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from services.vm_supervisor.disks import create_overlay, create_work_disk, grow, usage
from services.vm_supervisor.drivers.driver import Driver, Drives, End, Machine, MachineSpec
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.ssh import ensure_key, start_master, write_known_hosts
from services.vm_supervisor.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.network import (
    GuestNetwork,
    bridge_network,
    choose_port,
    user_network,
)
from shared.accelerator import Accel, Accelerator, configured, detect
from shared.config import Config
from shared.errors import BangerError, Code
from shared.handle import Handle, host_boot_id, remove_handle, write_handle
from shared.messages.network import Attachment
from shared.messages.vm import SupervisorSpec
from shared.paths import Paths, make_private
from shared.ssh import Access
from shared.vmm import accelerator, command_line, find_vmm, forwarded_ssh_port

T = TypeVar("T")
LAST_WORDS = 1.0
"""Seconds in which a VMM that closed its sockets is expected to be gone."""
HEAD_START = 0.5
"""Seconds that the first command has an emulated processor to itself."""
SSH_PORTS = (22, 2222)
"""Preferred ports of the VM's own loopback address: 22 where the host lets us, else 2222."""


@dataclass
class Guest:
    """A VM that has a VMM."""

    machine: Machine
    handle: Handle

    @property
    def access(self) -> Access:
        return self.handle.access


@dataclass(frozen=True)
class Launcher:
    """What a launch needs besides the VM itself. ``attach`` asks ``nat`` for the VM's tap."""

    paths: Paths
    config: Config
    driver: Driver
    attach: Callable[[str], Awaitable[Attachment]]

    async def launch(self, spec: SupervisorSpec, say: Callable[[str, str], None]) -> Guest:
        """Make what is missing, start the VMM and write the handle.

        Raises:
            BangerError: ``missing_tool``, ``no_space``, ``not_found`` and what ``nat`` says.
        """
        vm, state, run = spec.vm, self.paths.vm_state(spec.vm.id), self.paths.vm_run(spec.vm.id)
        make_private(state)
        say("disks", "preparing disks and keys")
        network, host_key, user_key, *_ = await asyncio.gather(
            self._network(spec),
            asyncio.to_thread(ensure_key, state / "ssh" / "host_key", f"banger {vm.name}"),
            asyncio.to_thread(ensure_key, self.paths.ssh_key),
            asyncio.to_thread(create_overlay, state / "overlay.ext4", vm.overlay_bytes),
            asyncio.to_thread(_work_disk, state / "work.ext4", vm.disk_bytes),
        )
        access = self._access(spec, network.access_host, network.access_port)
        write_known_hosts(access, host_key.public)
        identity = GuestIdentity(
            hostname=vm.name,
            machine_id=hashlib.sha256(vm.id.encode()).hexdigest()[:32],
            host_key=host_key.private,
            authorized_keys=user_key.public,
            kernel_version=_manifest(Path(spec.kernel))["version"],
            network=network,
        )
        write_initrd(run / "initrd", Path(spec.kernel) / "initrd-modules.cpio", identity)
        accelerator = await self._accelerator(Path(spec.kernel), say)
        return await self._start_vmm(spec, network, accelerator, access)

    def rediscover(self, spec: SupervisorSpec) -> Handle | None:
        """The handle of a VMM that runs though its handle cannot be read, made anew.

        What only the old one knew (forwards, the guest's boot id) is found again or made again.
        """
        process = find_vmm(spec.vm.id)
        if process is None:
            return None
        words = command_line(process.pid)
        console = self.paths.vm_state(spec.vm.id) / "console.log"
        return Handle(
            vm_id=spec.vm.id,
            host_boot=host_boot_id(),
            pid=process.pid,
            start_time=process.start_time,
            vmm=self.driver.name,
            accel=accelerator(words),
            access=self._access(spec, spec.vm.address, forwarded_ssh_port(words) or 22),
            # Where this boot's output began is lost: from here on, an old panic is not this one's.
            console_start=console.stat().st_size if console.exists() else 0,
            ready=spec.vm.state in ("running", "paused"),
        )

    async def _start_vmm(
        self,
        spec: SupervisorSpec,
        network: GuestNetwork,
        accelerator: Accelerator,
        access: Access,
    ) -> Guest:
        machine_spec = self._machine_spec(spec, network, accelerator)
        self.driver.prepare(machine_spec)
        machine = self.driver.launch(machine_spec)
        handle = Handle(
            vm_id=spec.vm.id,
            host_boot=host_boot_id(),
            pid=machine.process.pid,
            start_time=machine.process.start_time,
            vmm=self.driver.name,
            accel=accelerator.accel.value,
            access=access,
            console_start=machine.console_start,
        )
        write_handle(machine_spec.run, handle)
        try:
            await machine.attach()
        except BaseException:
            machine.kill()
            remove_handle(machine_spec.run)
            raise
        return Guest(machine, handle)

    async def _network(self, spec: SupervisorSpec) -> GuestNetwork:
        vm = spec.vm
        if vm.network == "user":
            port = choose_port(vm.address, SSH_PORTS)
            return user_network(vm.id, vm.address, port, nat=vm.nat)
        tap = await self.attach(vm.id)
        address = f"{tap.address}/{tap.prefix}"
        return bridge_network(vm.id, tap.tap, address, tap.gateway, (tap.gateway,))

    async def _accelerator(self, kernel: Path, say: Callable[[str, str], None]) -> Accelerator:
        if self.config.accel != "auto":
            return await asyncio.to_thread(configured, Accel(self.config.accel))
        loop = asyncio.get_running_loop()

        def probing() -> None:
            words = ("accelerator", "looking whether KVM runs a guest here")
            loop.call_soon_threadsafe(say, *words)

        return await asyncio.to_thread(detect, kernel, self.paths.run, probing)

    def _access(self, spec: SupervisorSpec, host: str, port: int) -> Access:
        state, run = self.paths.vm_state(spec.vm.id), self.paths.vm_run(spec.vm.id)
        return Access(
            host=host,
            port=port,
            key=str(self.paths.ssh_key),
            known_hosts=str(state / "known_hosts"),
            alias=spec.vm.id,
            control=str(run / "ssh.sock"),
        )

    def _machine_spec(
        self, spec: SupervisorSpec, network: GuestNetwork, accelerator: Accelerator
    ) -> MachineSpec:
        vm, state, run = spec.vm, self.paths.vm_state(spec.vm.id), self.paths.vm_run(spec.vm.id)
        image = Path(spec.image)
        return MachineSpec(
            vm_id=vm.id,
            vcpus=vm.vcpu,
            memory_mib=vm.memory_mib,
            accelerator=accelerator,
            kernel=Path(spec.kernel),
            initrd=run / "initrd",
            drives=Drives(
                rootfs=image / _manifest(image)["rootfs"]["file"],
                overlay=state / "overlay.ext4",
                work=state / "work.ext4",
                modules=Path(spec.kernel) / "modules.squashfs",
            ),
            network=network,
            run=run,
            state=state,
        )


async def await_ready(guest: Guest, name: str, state: Path, seconds: float) -> Agent:
    """Wait until agent and sshd answer; the agent is returned, the ssh master is up.

    Raises:
        BangerError: ``guest_failed`` when the VMM ends, or nothing answers in ``seconds``.
    """
    deadline = time.monotonic() + seconds
    console = state / "console.log"
    try:
        return await _unless_ended(guest.machine, _answers(guest, state, deadline))
    except _Ended as ended:
        raise BangerError(
            Code.GUEST_FAILED,
            f"{name} did not come up: {ended.end.detail}",
            hint=f"its console: {console}",
        ) from None
    except BangerError as error:
        if error.code is not Code.TIMEOUT:
            raise
        raise BangerError(
            Code.GUEST_FAILED,
            f"the agent of {name} did not answer within {seconds:.0f} s: "
            f"{await asyncio.to_thread(likely_cause, console)}",
            hint=f"its console: {console}",
        ) from None


async def _answers(guest: Guest, state: Path, deadline: float) -> Agent:
    agent = await Agent.connect(guest.machine.agent_socket, deadline)
    # Not before the agent answers: a SYN that finds no network is sent again seconds later.
    _, boot = await asyncio.gather(
        start_master(guest.access, state / "ssh.log", deadline),
        agent.read_file("/proc/sys/kernel/random/boot_id", deadline),
    )
    guest.handle.guest_boot = boot.decode().strip()
    return agent


async def let_init_go_on(agent: Agent, accel: str) -> None:
    """Tell guest/init that ssh is connected: it waits to become the image's own init.

    Under emulation that init takes the processor for twenty seconds, so the first command gets
    half a second before it.
    """
    await asyncio.sleep(HEAD_START if accel == Accel.TCG else 0)
    try:
        await agent.write_file("/run/banger/go", b"go\n", time.monotonic() + 5.0)
    except BangerError:
        return  # it does not wait any more: it goes on by itself after some seconds


class _Ended(Exception):
    def __init__(self, end: End) -> None:
        self.end = end


async def _unless_ended(machine: Machine, work: Awaitable[T]) -> T:
    """``work``, given up as soon as the VMM is gone."""
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(machine.ended())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and working.exception():
            # A VMM that ends closes its sockets first: the end is the cause, the rest follows.
            await asyncio.wait({ending}, timeout=LAST_WORDS)
        if ending.done():
            raise _Ended(ending.result())
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def likely_cause(console: Path) -> str:
    """What the console's last lines say about a guest that never answered, in a few words."""
    try:
        lines = console.read_bytes()[-4096:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return "it wrote nothing to its console"
    for line in reversed(lines):
        if "banger-init: error" in line or "Kernel panic" in line or "Out of memory" in line:
            return line.strip()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"its console ends with {last!r}" if last else "it wrote nothing to its console"


def _work_disk(path: Path, size: int) -> None:
    """Make it, or grow it to what ``vm set --disk-size`` has asked for."""
    create_work_disk(path, size)
    if usage(path).apparent < size:
        grow(path, size)


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BangerError(
            Code.NOT_FOUND,
            f"{directory} is not usable: {error}",
            hint="banger image list and banger kernel list show what is there",
        ) from error
    return manifest
