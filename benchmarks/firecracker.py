"""``python -m benchmarks.firecracker``: our driver against a Firecracker that is started by hand.

Both boot the same kernel, initrd and drives on the same tap until the guest's agent answers; by
hand means a config file as one would write it, and nothing else. Root, KVM, and the default image
and kernel are needed, and a network namespace to make a tap in: run it in ``unshare -n``.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness.measure import Figure, median, table
from services.vm_supervisor.disks.layout import create_overlay, create_work_disk
from services.vm_supervisor.drivers.contract import Drives, MachineSpec
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver
from services.vm_supervisor.drivers.firecracker.requests import boot_requests
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import VSOCK_PORT, AgentAddress
from services.vm_supervisor.guest.ssh import ensure_key
from services.vm_supervisor.launch.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.network.modes import bridge_network
from shared.config import FirecrackerConfig
from shared.paths import Paths
from shared.vmm.accelerator import Accel, Accelerator
from shared.vmm.firecracker_binary import find_program

RUNS = 3
BOOT_SECONDS = 300.0
VM_ID = "0123456789ab"
TAP = "bench0"
DEFAULT = "debian-bookworm"


def main() -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "tuntap", "add", TAP, "mode", "tap"], check=True)
    try:
        figure = asyncio.run(_figure(str(find_program("firecracker"))))
    finally:
        subprocess.run(["ip", "link", "delete", TAP], check=True)
    sys.stdout.write(table([figure]))
    sys.stdout.write(json.dumps(asdict(figure) | {"value": figure.value, "met": figure.met}) + "\n")
    return 0


async def _figure(program: str) -> Figure:
    """A B A B: ours and by hand in turn, the first pair not counted."""
    ours: list[float] = []
    hand: list[float] = []
    for run in range(RUNS + 1):
        times = await _timed(program, _ours), await _timed(program, _by_hand)
        if run:
            ours.append(times[0])
            hand.append(times[1])
    against = "firecracker --config-file"
    return Figure(
        "agent ready under Firecracker", "s", median(ours), 1.2, median(hand), against, RUNS
    )


Boot = Callable[[str, MachineSpec], Coroutine[Any, Any, None]]


async def _timed(program: str, boot: Boot) -> float:
    """Seconds from the launch to the agent's answer, on fresh disks."""
    directory = Path(tempfile.mkdtemp(prefix="bgr"))
    try:
        spec = _spec(directory)
        started = time.perf_counter()
        await boot(program, spec)
        return time.perf_counter() - started
    finally:
        shutil.rmtree(directory)


async def _ours(program: str, spec: MachineSpec) -> None:
    driver = FirecrackerDriver(program, FirecrackerConfig())
    driver.prepare(spec)
    machine = await driver.launch(spec)
    try:
        await machine.attach()
        await _answered(machine.agent)
    finally:
        machine.kill()
        await machine.ended()
        await machine.close()


async def _by_hand(program: str, spec: MachineSpec) -> None:
    config = spec.run / "config.json"
    config.write_text(json.dumps(config_file(spec)))
    argv = [program, "--no-api", "--config-file", str(config)]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _answered(AgentAddress(spec.run / "agent.sock", VSOCK_PORT))
    finally:
        process.kill()
        await process.wait()


def config_file(spec: MachineSpec) -> dict[str, Any]:
    """The same machine, as ``--config-file`` takes it."""
    bodies = {r.path: r.body for r in boot_requests(spec, spec.run / "agent.sock", _CONFIG)}
    return {
        "boot-source": bodies["/boot-source"],
        "drives": [body for path, body in bodies.items() if path.startswith("/drives/")],
        "machine-config": bodies["/machine-config"],
        "network-interfaces": [bodies["/network-interfaces/net0"]],
        "vsock": bodies["/vsock"],
        "entropy": bodies["/entropy"],
        "balloon": bodies["/balloon"],
    }


_CONFIG = FirecrackerConfig()


async def _answered(address: AgentAddress) -> None:
    (await Agent.connect(address, time.monotonic() + BOOT_SECONDS)).close()


def _spec(directory: Path) -> MachineSpec:
    paths = Paths.from_environment()
    kernel = (paths.kernels / "by-name" / DEFAULT).resolve()
    image = (paths.images / "by-name" / DEFAULT).resolve()
    network = bridge_network(VM_ID, TAP, "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",))
    key = ensure_key(directory / "ssh" / "host_key")
    version = json.loads((kernel / "manifest.json").read_text())["version"]
    identity = GuestIdentity("bench", "0" * 32, key.private, key.public, version, network, "vsock")
    write_initrd(directory / "initrd", kernel / "initrd-modules.cpio", identity)
    create_overlay(directory / "overlay.ext4", 256 << 20)
    create_work_disk(directory / "work.ext4", 256 << 20)
    return MachineSpec(
        vm_id=VM_ID,
        vcpus=1,
        memory_mib=512,
        accelerator=Accelerator(Accel.KVM, "Firecracker knows no other"),
        kernel=kernel,
        initrd=directory / "initrd",
        drives=Drives(
            rootfs=image / "rootfs.squashfs",
            overlay=directory / "overlay.ext4",
            work=directory / "work.ext4",
            modules=kernel / "modules.squashfs",
        ),
        network=network,
        run=directory,
        state=directory,
    )


if __name__ == "__main__":
    sys.exit(main())
