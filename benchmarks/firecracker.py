"""The driver for Firecracker against a Firecracker that is started by hand.

Both boot the same kernel, initrd and drives on the same tap until the guest's agent answers; by
hand means a config file as one would write it, and nothing else. As root, in a network namespace
of its own. A smoke ends when Firecracker has made the agent's socket, since no guest need run
for it: it takes a KVM that can be opened, and no more.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks.harness.by_hand import answered, write_files
from benchmarks.harness.measure import Figure, NotHere, Pair, medians
from benchmarks.harness.product import default_image
from services.vm_supervisor.drivers.contract import MachineSpec, VmPlace
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver
from services.vm_supervisor.drivers.firecracker.requests import boot_requests
from services.vm_supervisor.guest.channel import VSOCK_PORT, AgentAddress, open_channel
from services.vm_supervisor.network.modes import bridge_network
from shared.config import Config, FirecrackerConfig
from shared.errors import BangerError
from shared.vm import files
from shared.vmm.accelerator import Accel, Accelerator, kvm_obstacle
from shared.vmm.choice import choose
from shared.vmm.info import LaunchContext
from tests.integration.namespaces import Namespace

RUNS = 3
VM_ID = "0123456789ab"
TAP = "bench0"
DISK_BYTES = 256 << 20
SOCKET_SECONDS = 10.0
PINNED = Path(__file__).parents[1] / "scripts" / "firecracker"
"""Prints the directory of the binary that the tests use."""

Ready = Callable[[AgentAddress], Awaitable[None]]
Boot = Callable[[str, MachineSpec, Ready], Coroutine[Any, Any, None]]


def figures(*, smoke: bool) -> list[Figure]:
    program = firecracker_program(smoke=smoke)
    ready, runs = (listening, 1) if smoke else (answered, RUNS)
    place = Namespace()
    try:
        place.sh(f"ip tuntap add {TAP} mode tap")
        pairs = place.run(lambda: asyncio.run(_pairs(program, runs, ready)))
    finally:
        place.close()
    measured, by_hand = medians(pairs)
    name, against = "agent ready under Firecracker", "firecracker --config-file by hand"
    return [Figure(name, "s", measured, by_hand, against, runs, bar=1.2)]


def firecracker_program(*, smoke: bool) -> str:
    """The Firecracker to run. Raises ``NotHere`` where there can be no guest for it to run."""
    obstacle = "it needs root" if os.geteuid() else kvm_obstacle()
    if obstacle:
        raise NotHere(obstacle)
    program = shutil.which("firecracker")
    if program is None:
        done = subprocess.run([PINNED], stdout=subprocess.PIPE, text=True, check=True)
        program = f"{done.stdout.strip()}/firecracker"
    if not smoke:
        _check_that_guests_run(program)
    return program


def _check_that_guests_run(program: str) -> None:
    config = Config(firecracker_bin=program)
    _, kernel = default_image()
    with tempfile.TemporaryDirectory() as run:
        try:
            choose("firecracker", "bridge", LaunchContext(config, kernel, Path(run)))
        except BangerError as error:
            raise NotHere(error.message) from error


async def listening(address: AgentAddress) -> None:
    """Return when Firecracker has made the socket by which the agent would be reached."""
    async with asyncio.timeout(SOCKET_SECONDS):
        _, writer = await open_channel(AgentAddress(address.socket), 1024)
    writer.close()


async def _pairs(program: str, runs: int, ready: Ready) -> list[Pair]:
    """The driver and by hand in turn, the first pair not counted."""
    pairs = [
        (await _timed(program, _by_driver, ready), await _timed(program, _by_hand, ready))
        for _ in range(runs + 1)
    ]
    return pairs[1:]


async def _timed(program: str, boot: Boot, ready: Ready) -> float:
    """Seconds from the launch to the agent's answer, on fresh disks."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        spec = spec_in(Path(directory))
        started = time.perf_counter()
        await boot(program, spec, ready)
        return time.perf_counter() - started


async def _by_driver(program: str, spec: MachineSpec, ready: Ready) -> None:
    driver = FirecrackerDriver(program, FirecrackerConfig())
    driver.prepare(spec)
    machine = await driver.launch(spec)
    try:
        await machine.attach()
        await ready(machine.agent)
    finally:
        machine.kill()
        await machine.ended()
        await machine.close()


async def _by_hand(program: str, spec: MachineSpec, ready: Ready) -> None:
    config, agent = spec.run / "config.json", spec.run / files.AGENT_SOCKET
    config.write_text(json.dumps(config_file(spec, agent)))
    quiet = asyncio.subprocess.DEVNULL
    argv = (program, "--no-api", "--config-file", str(config))
    process = await asyncio.create_subprocess_exec(*argv, stdin=quiet, stdout=quiet)
    try:
        await ready(AgentAddress(agent, VSOCK_PORT))
    finally:
        process.kill()
        await process.wait()


def config_file(spec: MachineSpec, agent: Path) -> dict[str, Any]:
    """The same machine, as ``--config-file`` takes it."""
    bodies = {r.path: r.body for r in boot_requests(spec, FirecrackerConfig())}
    paths = {drive.name: str(drive.path) for drive in spec.drives.devices()}
    drives = [body for path, body in bodies.items() if path.startswith("/drives/")]
    return {
        "boot-source": bodies["/boot-source"],
        "drives": [each | {"path_on_host": paths[each["drive_id"]]} for each in drives],
        "machine-config": bodies["/machine-config"],
        "network-interfaces": [bodies["/network-interfaces/net0"]],
        "vsock": bodies["/vsock"] | {"uds_path": str(agent)},
        "entropy": bodies["/entropy"],
        "balloon": bodies["/balloon"],
    }


def spec_in(directory: Path) -> MachineSpec:
    """A machine with new disks in ``directory``."""
    _, kernel = default_image()
    network = bridge_network(VM_ID, TAP, "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",))
    drives = write_files(
        *(directory, network, "vsock"), overlay_bytes=DISK_BYTES, work_bytes=DISK_BYTES
    )
    return MachineSpec(
        place=VmPlace(VM_ID, directory, directory),
        vcpus=1,
        memory_mib=512,
        accelerator=Accelerator(Accel.KVM, "Firecracker knows no other"),
        kernel=kernel,
        initrd=directory / files.INITRD,
        drives=drives,
        network=network,
    )
