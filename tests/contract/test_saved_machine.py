"""What every driver does that saves machines, asked of the scripted QEMU and of the real one."""

import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import Machine, MachineSpec, VmPlace
from services.vm_supervisor.drivers.qemu import own_memory
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.network.modes import Forward, user_network
from shared.errors import BangerError, Code
from shared.host.process import start_time
from shared.vm import files
from shared.vm.saved import MemoryForm, memory_form
from shared.vm.sparse import content_sum, copy_sparse
from tests.contract.test_driver import (
    HOST,
    Bench,
    _agent,
    _free_port,
    _reachable,
    _refusal,
    _soon,
    bench,
    contract,
)

__all__ = ["bench"]
MARK, OTHER_MARK = "/run/contract", "/run/contract2"
CLONE_MIB = 96
"""What a copy that has answered some requests shares with nobody. Its guest uses more than that."""


def copy_of(spec: MachineSpec, saved: Path) -> MachineSpec:
    """Another VM, with the disks of the saved machine."""
    vm_id = os.urandom(6).hex()
    own = spec.place.run / vm_id[:4]
    own.mkdir()
    for name in (files.OVERLAY, files.WORK_DISK):
        copy_sparse(saved / name, own / name)
    return replace(
        spec,
        place=VmPlace(vm_id, own, own),
        drives=replace(spec.drives, overlay=own / files.OVERLAY, work=own / files.WORK_DISK),
        network=user_network(vm_id, HOST, _free_port(), nat=True),
    )


async def save(machine: Machine, spec: MachineSpec, target: Path) -> MemoryForm:
    """All of the machine, which is paused."""
    target.mkdir()
    form = await machine.save(target)
    for disk in (spec.drives.overlay, spec.drives.work):
        copy_sparse(disk, target / disk.name)
    return form


@asynccontextmanager
async def loaded(bench: Bench, spec: MachineSpec, saved: Path) -> AsyncIterator[Machine]:
    bench.driver.prepare(spec, saved)
    machine = await bench.driver.launch(spec, saved)
    try:
        await machine.attach()
        yield machine
    finally:
        machine.kill()
        await machine.ended()
        await machine.close()


async def saved_guest(bench: Bench, target: Path) -> bytes:
    """Save a guest that has a mark in its memory; returns its boot id. It is gone then."""
    async with bench.running() as machine:
        agent = await _agent(machine)
        boot = await agent.read_file("/proc/sys/kernel/random/boot_id", _soon())
        await agent.write_file(MARK, b"kept", _soon())
        agent.close()
        assert (await _refusal(machine.save(target.parent))).code is Code.CONFLICT, "it runs"
        await machine.pause()
        await assert_full_disk_is_told(machine, target.with_name("full"))
        assert await save(machine, bench.spec, target) == "file"
        await machine.resume()
        agent = await _agent(machine)
        assert await agent.read_file(MARK, _soon()) == b"kept", "the source goes on"
        agent.close()
    return boot


async def assert_full_disk_is_told(machine: Machine, target: Path) -> None:
    target.mkdir()
    (target / files.DEVICE_STATE).symlink_to("/dev/full")
    assert (await _refusal(machine.save(target))).code is Code.NO_SPACE


async def marks(machine: Machine) -> tuple[bytes, bytes]:
    agent = await _agent(machine)
    boot = await agent.read_file("/proc/sys/kernel/random/boot_id", _soon())
    mark = await agent.read_file(MARK, _soon())
    agent.close()
    return boot, mark


@contract
async def test_copies_of_a_saved_machine_go_on_where_it_was(bench: Bench) -> None:
    """Two beside each other, and two of a copy: its memory read from outside, and a stream."""
    target = bench.spec.state / "saved"
    boot = await saved_guest(bench, target)
    before = content_sum(target / files.MEMORY)
    async with AsyncExitStack() as running:
        specs = [copy_of(bench.spec, target) for _ in range(2)]
        copies = [await running.enter_async_context(loaded(bench, s, target)) for s in specs]
        for machine in copies:
            await assert_stands_still(machine)
            await machine.resume()
            assert await marks(machine) == (boot, b"kept")
            await assert_network_works(machine)
        assert private_mib(copies[1]) < CLONE_MIB
        await write(copies[0], OTHER_MARK)
        assert await knows(copies[0], OTHER_MARK)
        assert not await knows(copies[1], OTHER_MARK), "memory is not seen by others"
        await copies[0].pause()
        again = [bench.spec.state / name for name in ("s1", "s2")]
        form = await save(copies[0], specs[0], again[0])
        assert form == ("file" if maps_its_memory(copies[0]) else "stream")
        with pytest.MonkeyPatch.context() as kernel:
            kernel.setattr(own_memory, "locate", refuse)
            assert await save(copies[0], specs[0], again[1]) == "stream"
    assert content_sum(target / files.MEMORY) == before
    for saved in again:
        async with loaded(bench, copy_of(bench.spec, saved), saved) as machine:
            await machine.resume()
            assert await marks(machine) == (boot, b"kept")
            assert await knows(machine, OTHER_MARK)
            await assert_network_works(machine)


def maps_its_memory(machine: Machine) -> bool:
    """Whether it is a real QEMU."""
    return "qemu" in Path(f"/proc/{machine.process.pid}/exe").readlink().name


def refuse(_pid: int, _size: int) -> own_memory.Mapping:
    """As Yama does to a supervisor that is no ancestor of the VMM."""
    raise own_memory.Unreachable


async def assert_stands_still(machine: Machine) -> None:
    with pytest.raises(BangerError) as caught:
        await Agent.connect(machine.agent, time.monotonic() + 0.2)
    assert caught.value.code is Code.TIMEOUT


async def assert_network_works(machine: Machine) -> None:
    """The hubs, the relay of UDP ports and the way out are as in a guest that has booted."""
    network = machine.user_network
    assert network
    tcp, udp = (Forward(kind, HOST, _free_port(), 22) for kind in ("tcp", "udp"))
    await network.add_forward(tcp)
    assert _reachable(tcp.port)
    await network.add_forward(udp)
    for forward in (tcp, udp):
        await network.remove_forward(forward)
    for on in (False, True, True):
        await network.set_uplink(on=on)


async def write(machine: Machine, mark: str) -> None:
    agent = await _agent(machine)
    await agent.write_file(mark, b"kept", _soon())
    agent.close()


async def knows(machine: Machine, mark: str) -> bool:
    agent = await _agent(machine)
    try:
        return await agent.read_file(mark, _soon()) == b"kept"
    except BangerError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return False
    finally:
        agent.close()


def private_mib(machine: Machine) -> int:
    """Memory of the VMM that belongs to it alone (proc_pid_smaps(5))."""
    text = Path(f"/proc/{machine.process.pid}/smaps_rollup").read_text()
    fields = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]}
    return int(fields["Private_Dirty:"]) >> 10


async def save_at_once(bench: Bench, target: Path) -> Path:
    """Save a guest that has just begun to boot."""
    async with bench.running() as machine:
        await machine.pause()
        await save(machine, bench.spec, target)
    return target


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(os.urandom(len(content) // 2) + content[len(content) // 2 :])


@contract
async def test_damaged_machine_is_refused_and_nothing_runs(bench: Bench) -> None:
    good = await save_at_once(bench, bench.spec.state / "good")
    harms: list[tuple[str, Callable[[Path], None]]] = [
        (files.MEMORY, cut),
        (files.DEVICE_STATE, cut),
        (files.DEVICE_STATE, spoil),
    ]
    for name, harm in harms:
        bad = bench.spec.state / "bad"
        bad.mkdir()
        for file in good.iterdir():
            copy_sparse(file, bad / file.name)
        harm(bad / name)
        spec = copy_of(bench.spec, bad)
        machine = await bench.driver.launch(spec, bad)
        try:
            error = await _refusal(machine.attach())
        finally:
            machine.kill()
            await machine.ended()
            await machine.close()
        assert error.code is Code.INVALID, (name, harm, error)
        shutil.rmtree(bad)
    (good / files.MEMORY).unlink()
    with pytest.raises(BangerError) as caught:
        bench.driver.prepare(bench.spec, good)
    assert caught.value.code is Code.NOT_FOUND


@contract
async def test_machine_that_waits_to_be_loaded_is_ended_by_who_adopts_it(bench: Bench) -> None:
    target = await save_at_once(bench, bench.spec.state / "saved")
    assert memory_form(target) == "file"
    spec = copy_of(bench.spec, target)
    first = await bench.driver.launch(spec, target)
    await first.close()
    second = bench.driver.adopt(spec.place, first.process, 0)
    assert (await _refusal(second.attach())).code is Code.NOT_RUNNING
    await second.close()
    assert start_time(first.process.pid) is None


@contract
async def test_machine_that_was_loaded_is_adopted_with_its_network(bench: Bench) -> None:
    target = await save_at_once(bench, bench.spec.state / "saved")
    spec = copy_of(bench.spec, target)
    first = await bench.driver.launch(spec, target)
    try:
        await first.attach()
        await first.resume()
    finally:
        await first.close()
    second = bench.driver.adopt(spec.place, first.process, 0)
    try:
        await second.attach()
        await assert_network_works(second)
        await second.pause()
    finally:
        second.kill()
        await second.ended()
        await second.close()
