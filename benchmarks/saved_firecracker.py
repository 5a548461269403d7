"""Saved machines under Firecracker: the driver against the API by hand.

A guest boots and is saved once. From what was saved, driver and hand start the same machine in turn
until the guest's agent answers, each on disks that were copied before its clock starts; by hand
means Firecracker and one request, as curl sends it. Then both save the machine that runs. As root,
in a network namespace of its own. A smoke needs no guest to run, as that of ``firecracker``.
"""

import asyncio
import json
import shutil
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.firecracker import TAP, Ready, firecracker_program, listening, spec_in
from benchmarks.harness.by_hand import answered
from benchmarks.harness.measure import Figure, Pair, medians
from services.vm_supervisor.drivers.contract import Machine, MachineSpec
from services.vm_supervisor.drivers.firecracker import names
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver
from services.vm_supervisor.guest import channel
from services.vm_supervisor.guest.channel import VSOCK_PORT, AgentAddress, await_reset
from shared.config import FirecrackerConfig
from shared.vm import files
from tests.integration.namespaces import Namespace

RUNS = 3
SETTLE_SECONDS = 30.0
"""Until systemd has started everything in an emulated host."""
FIRECRACKER_SECONDS = 600.0


def figures(*, smoke: bool) -> list[Figure]:
    program = firecracker_program(smoke=smoke)
    ready, runs = (listening, 1) if smoke else (answered, RUNS)
    place = Namespace()
    try:
        place.sh(f"ip tuntap add {TAP} mode tap")
        # There may be no guest that runs and could refuse a connection.
        patience = 0.1 if smoke else channel.RESET_SECONDS
        with mock.patch.object(channel, "RESET_SECONDS", patience):
            measure = _measure(program, runs, ready, smoke=smoke)
            loads, saves = place.run(lambda: asyncio.run(measure))
    finally:
        place.close()
    by_driver, by_hand = medians(loads)
    paused, written = medians(saves)
    by = "PUT /snapshot/load by hand"
    return [
        Figure("agent ready from a saved machine", "s", by_driver, by_hand, by, runs, bar=1.5),
        Figure("pause for a save", "s", paused, written, "PUT /snapshot/create by hand", runs),
    ]


async def _measure(
    program: str, runs: int, ready: Ready, *, smoke: bool
) -> tuple[list[Pair], list[Pair]]:
    """The driver and by hand in turn; the first pair of each not counted."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        spec = spec_in(Path(directory))
        saved = await _saved(program, spec, ready, smoke=smoke)
        loads, saves = [], []
        for _ in range(runs + 1):
            one = await _by_driver(program, _renewed(spec, saved), saved, ready)
            other = await _by_hand(program, _renewed(spec, saved), saved, ready)
            loads.append((one[0], other[0]))
            saves.append((one[1], other[1]))
        return loads[1:], saves[1:]


async def _saved(program: str, spec: MachineSpec, ready: Ready, *, smoke: bool) -> Path:
    driver, target = FirecrackerDriver(program, FirecrackerConfig()), spec.state / "saved-machine"
    target.mkdir()
    machine = await driver.launch(spec)
    try:
        await machine.attach()
        await ready(machine.agent)
        await asyncio.sleep(0 if smoke else SETTLE_SECONDS)
        await _kept(machine, target)
    finally:
        await _end(machine)
    for name in (files.OVERLAY, files.WORK_DISK):
        shutil.copy(spec.state / name, target)
    return target


def _renewed(spec: MachineSpec, saved: Path) -> MachineSpec:
    """The machine with the disks as they were when it was saved."""
    for name in (files.OVERLAY, files.WORK_DISK):
        shutil.copy(saved / name, spec.state / name)
    (spec.run / files.AGENT_SOCKET).unlink(missing_ok=True)
    return replace(spec)


async def _by_driver(
    program: str, spec: MachineSpec, saved: Path, ready: Ready
) -> tuple[float, float]:
    """Seconds until the agent answers, and seconds of the pause for a save."""
    driver = FirecrackerDriver(program, FirecrackerConfig())
    with tempfile.TemporaryDirectory(dir=spec.state) as target:
        started = time.perf_counter()
        driver.prepare(spec, saved)
        machine = await driver.launch(spec, saved)
        try:
            await machine.attach()
            await machine.resume()
            await ready(machine.agent)
            loaded = time.perf_counter()
            await _save(machine, Path(target))
            return loaded - started, time.perf_counter() - loaded
        finally:
            await _end(machine)


async def _save(machine: Machine, target: Path) -> None:
    await machine.pause()
    await machine.save(target)
    await machine.resume()


async def _kept(machine: Machine, target: Path) -> None:
    await _save(machine, target)
    await machine.collect(target)


async def _end(machine: Machine) -> None:
    machine.kill()
    await machine.ended()
    await machine.close()


async def _by_hand(
    program: str, spec: MachineSpec, saved: Path, ready: Ready
) -> tuple[float, float]:
    """As ``_by_driver``; what is saved has every page of the memory."""
    quiet = asyncio.subprocess.DEVNULL
    load = {
        "snapshot_path": str(saved / files.DEVICE_STATE),
        "mem_backend": {"backend_type": "File", "backend_path": str(saved / files.MEMORY)},
        "resume_vm": True,
    }
    names.make_links(spec.run, spec.state, spec.drives)
    api = spec.run / "hand.sock"
    api.unlink(missing_ok=True)
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(program, "--api-sock", str(api)), stdin=quiet, stdout=quiet, cwd=spec.run
    )
    try:
        await asyncio.to_thread(_put, api, "PUT", "/snapshot/load", load)
        agent = AgentAddress(spec.run / files.AGENT_SOCKET, VSOCK_PORT)
        await await_reset(agent.socket)  # without this an agent that is asked too early hangs
        await ready(agent)
        loaded = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=spec.state) as target:
            paths = (f"{target}/{name}" for name in ("state", "memory"))
            create = dict(zip(("snapshot_path", "mem_file_path"), paths, strict=True))
            await asyncio.to_thread(_put, api, "PATCH", "/vm", {"state": "Paused"})
            await asyncio.to_thread(_put, api, "PUT", "/snapshot/create", create)
            await asyncio.to_thread(_put, api, "PATCH", "/vm", {"state": "Resumed"})
            return loaded - started, time.perf_counter() - loaded
    finally:
        process.kill()
        await process.wait()


def _put(api: Path, method: str, path: str, body: dict[str, Any]) -> None:
    """One request, as curl sends it; the socket is there some milliseconds after the start."""
    content = json.dumps(body)
    deadline = time.monotonic() + FIRECRACKER_SECONDS
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(FIRECRACKER_SECONDS)
        while True:
            try:
                client.connect(str(api))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}"
        client.sendall(f"{head}\r\n\r\n{content}".encode())
        answer = client.recv(4096).decode()
    if " 204 " not in answer:
        raise RuntimeError(f"{path}: {answer}")
