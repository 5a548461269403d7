"""Saved machines with the real Firecracker: all that it saves, loads and refuses.

No guest runs here, and none need to: Firecracker saves and loads one that stands still as well.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver
from services.vm_supervisor.drivers.firecracker.requests import SHOW_CONFIG, ApiRequest
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, start_time
from shared.vm import files
from tests.contract.test_firecracker import (
    DESCRIBE,
    TAP,
    VM_ID,
    Bench,
    bench,
    contract,
    refusal,
)
from tests.contract.test_firecracker import pytestmark as pytestmark

__all__ = ["bench"]
ONE, TWO = (os.urandom(3).hex() for _ in range(2))
"""Two copies; the names of their taps have to be short."""


def _open_files(process: ProcessId) -> set[str]:
    return {str(each.readlink()) for each in Path(f"/proc/{process.pid}/fd").iterdir()}


def _mappings(process: ProcessId, path: Path) -> set[str]:
    """The permissions of each mapping of a file (proc_pid_maps(5))."""
    lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    return {line.split()[1] for line in lines if line.endswith(str(path))}


@contract
async def test_two_copies_run_beside_the_source_on_files_and_devices_of_their_own(
    bench: Bench,
) -> None:
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(bench.running())
        saved = await bench.save(source)
        assert (await bench.ask(DESCRIBE))["state"] == "Paused"
        await source.resume()
        assert (await bench.ask(DESCRIBE))["state"] == "Running"
        for spec in (bench.other(ONE), bench.other(TWO)):
            bench.driver.prepare(spec, saved)
            copy = await stack.enter_async_context(bench.launched(spec, saved))
            await copy.attach()
            assert (await bench.ask(DESCRIBE, spec))["state"] == "Paused"
            await copy.resume()
            assert (await bench.ask(DESCRIBE, spec))["state"] == "Running"
            assert (await bench.ask(DESCRIBE, spec))["id"] == f"banger-{spec.place.vm_id}"
            used = _open_files(copy.process)
            assert {str(spec.drives.overlay), str(spec.drives.work)} <= used
            assert not {str(bench.spec.drives.overlay), str(bench.spec.drives.work)} & used
            shown = await bench.ask(SHOW_CONFIG, spec)
            assert shown["network-interfaces"][0]["host_dev_name"] == spec.network.tap
            assert copy.agent.socket.is_socket()
            assert _mappings(copy.process, saved / files.MEMORY) == {"rw-p"}


@contract
async def test_what_is_saved_is_sparse_complete_and_out_of_the_vmms_reach(bench: Bench) -> None:
    async with bench.running() as machine:
        saved = await bench.save(machine)
        memory, state = saved / files.MEMORY, saved / files.DEVICE_STATE
        assert memory.stat().st_size == bench.spec.memory_mib << 20
        assert memory.stat().st_blocks * 512 < memory.stat().st_size / 2
        assert 0 < state.stat().st_size < 1 << 20
        saving = bench.spec.state / files.SAVING
        assert {path.name: path.stat().st_size for path in saving.iterdir()} == {
            files.MEMORY: 0,
            files.DEVICE_STATE: 0,
        }
        assert await machine.version() == "1.12"
        await machine.resume()
        again = await bench.save(machine, "again")
        assert (again / files.MEMORY).stat().st_size == memory.stat().st_size


@contract
async def test_the_pages_that_a_guest_has_touched_are_all_that_there_is(bench: Bench) -> None:
    config = FirecrackerConfig(track_dirty_pages=True)
    machine = await FirecrackerDriver(bench.program, config).launch(bench.spec)
    try:
        await machine.attach()
        touched = await bench.save(machine, "touched")  # while it still boots, if it does
        everything = await bench.save(machine, "everything")
        one, other = (each / files.MEMORY for each in (touched, everything))
        assert one.read_bytes() == other.read_bytes()
    finally:
        machine.kill()
        await machine.ended()
        await machine.close()


@contract
async def test_a_machine_that_was_loaded_is_saved_and_loaded_in_turn(bench: Bench) -> None:
    saved = await bench.saved()
    async with bench.launched(saved=saved) as second:
        await second.attach()
        again = await bench.save(second, "again")
    async with bench.launched(saved=again) as third:
        await third.attach()
        await third.resume()
        assert (await bench.ask(DESCRIBE))["state"] == "Running"


@contract
async def test_a_loaded_machine_does_not_need_the_files_any_more(bench: Bench) -> None:
    saved = await bench.saved()
    async with bench.launched(saved=saved) as machine:
        await machine.attach()
        for path in saved.iterdir():
            path.unlink()
        await machine.resume()
        again = await bench.save(machine, "again")
        assert (again / files.MEMORY).stat().st_blocks > 0


@contract
async def test_a_guest_that_is_not_paused_is_not_saved(bench: Bench) -> None:
    async with bench.running() as machine:
        assert (await refusal(machine.save(bench.spec.state))).code is Code.CONFLICT
        assert (await bench.ask(DESCRIBE))["state"] == "Running"


@contract
async def test_a_vm_that_an_older_version_started_is_not_saved(bench: Bench) -> None:
    """A copy of it would write to its disks."""
    drive = {
        "drive_id": "work",
        "path_on_host": str(bench.spec.drives.work),
        "is_root_device": False,
    }
    async with bench.launched() as machine:
        await machine.version()  # it serves
        await bench.ask(ApiRequest("PUT", "/drives/work", drive))
        error = await refusal(machine.save(bench.spec.state))
    assert error.code is Code.CONFLICT
    assert "older version" in error.message


@contract
async def test_one_that_was_loading_when_its_supervisor_died_is_ended(bench: Bench) -> None:
    saved = await bench.saved()
    async with bench.launched(saved=saved) as first:
        second = bench.driver.adopt(bench.spec.place, first.process, 0)
        assert (await refusal(second.attach())).code is Code.NOT_RUNNING
        assert start_time(first.process.pid) is None
        await second.close()


@contract
async def test_a_loaded_machine_is_adopted(bench: Bench) -> None:
    saved = await bench.saved()
    async with bench.launched(saved=saved) as first:
        await first.attach()
        second = bench.driver.adopt(bench.spec.place, first.process, 0)
        await second.attach()
        await second.resume()
        assert (await bench.ask(DESCRIBE))["state"] == "Running"
        await bench.save(second, "again")
        await second.close()


@contract
async def test_limits_and_metrics_are_those_of_the_one_that_loads(bench: Bench) -> None:
    saved = await bench.saved()
    config = FirecrackerConfig(metrics=True, disk_operations_per_second=7)
    machine = await FirecrackerDriver(bench.program, config).launch(bench.spec, saved)
    try:
        (bench.spec.state / files.METRICS).write_bytes(b"")
        await machine.attach()
        shown = await bench.ask(SHOW_CONFIG)
        for drive in shown["drives"]:
            assert drive["rate_limiter"]["bandwidth"] is None
            assert drive["rate_limiter"]["ops"]["size"] == 7
        network = shown["network-interfaces"][0]
        for limits in (network["rx_rate_limiter"], network["tx_rate_limiter"]):
            assert not limits or not any(limits.values())
        await machine.resume()
        await bench.ask(ApiRequest("PUT", "/actions", {"action_type": "FlushMetrics"}))
        assert (bench.spec.state / files.METRICS).stat().st_size > 0
    finally:
        machine.kill()
        await machine.ended()
        await machine.close()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@contract
async def test_what_is_damaged_or_missing_is_told_and_nothing_is_left(bench: Bench) -> None:
    saved = await bench.saved()
    kept = {name: (saved / name).read_bytes() for name in (files.MEMORY, files.DEVICE_STATE)}
    work = bench.spec.drives.work.read_bytes()
    for harm, path, code, said in (
        (_flip, saved / files.DEVICE_STATE, Code.INVALID, "damaged"),
        (lambda path: os.truncate(path, 100), saved / files.DEVICE_STATE, Code.INVALID, "damaged"),
        (lambda path: os.truncate(path, 0), saved / files.DEVICE_STATE, Code.INVALID, "damaged"),
        (lambda path: os.truncate(path, 1 << 20), saved / files.MEMORY, Code.INVALID, "damaged"),
        (Path.unlink, saved / files.MEMORY, Code.INVALID, "No such file"),
        (Path.unlink, bench.spec.drives.work, Code.NOT_FOUND, "disks/work"),
    ):
        harm(path)
        async with bench.launched(saved=saved) as machine:
            error = await refusal(machine.attach())
            assert (error.code, said in error.message) == (code, True), error
            await machine.ended()  # it has ended itself
        for name, content in kept.items():
            (saved / name).write_bytes(content)
        bench.spec.drives.work.write_bytes(work)
    async with bench.launched(saved=saved) as machine:
        await machine.attach()


@contract
async def test_a_network_device_that_another_vm_has_is_told(bench: Bench) -> None:
    async with bench.running() as source:
        saved = await bench.save(source)
        spec = bench.other(ONE)
        spec = replace(spec, network=replace(spec.network, tap=TAP))
        async with bench.launched(spec, saved) as machine:
            error = await refusal(machine.attach())
    assert error.code is Code.CONFLICT
    assert "network device" in error.message


def test_prepare_names_the_memory_that_is_missing(bench: Bench) -> None:
    with pytest.raises(BangerError) as caught:
        bench.driver.prepare(bench.spec, bench.spec.state)
    assert caught.value.code is Code.NOT_FOUND
    assert files.MEMORY in caught.value.message


def test_the_ids_of_this_run_are_three() -> None:
    assert len({VM_ID, ONE, TWO}) == 3


def test_saves_of_two_vms_do_not_meet(bench: Bench) -> None:
    async def scenario() -> None:
        async with bench.running() as one, bench.running(bench.other(ONE)) as two:
            first, second = await asyncio.gather(bench.save(one, "one"), bench.save(two, "two"))
            for saved in (first, second):
                assert (saved / files.MEMORY).stat().st_size == bench.spec.memory_mib << 20

    bench.place.run(lambda: asyncio.run(scenario()))
