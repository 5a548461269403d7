"""A VM falls asleep, holds its ports, and wakes, with a scripted VMM."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.vm_supervisor.lifecycle import saving
from shared.contract.messages.vm import Publication
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm.asleep import Asleep, read_asleep
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import read_handle
from shared.vm.saved import MachineFacts
from tests.example import example_vm
from tests.unit.services.vm_supervisor.disks.saved_machines import fill
from tests.unit.services.vm_supervisor.lifecycle.bench import Bench, scenario
from tests.unit.services.vm_supervisor.ports.clients import HOST, exchange, free_port
from tests.unit.shared.vm.test_asleep import ASLEEP, fall_asleep
from tests.unit.shared.vm.test_saved import FACTS

REASON = "nobody used it for 30m"
Play = Callable[[Bench], Coroutine[Any, Any, None]]


def silent(_stage: str, _words: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "facts_of_disks", lambda _spec: MachineFacts(**FACTS))


def with_vm(root: Path, play: Play) -> None:
    """A running VM whose ssh port is one of this process's own network."""

    async def played(bench: Bench) -> None:
        fill(bench.directory, "old", memory=False)
        running = bench.supervision.life.running
        assert running
        running.handle.access = replace(ASLEEP.access, host=HOST, port=free_port())
        await play(bench)

    scenario(root, played, facts=FACTS)


async def slept(bench: Bench) -> int:
    """Have the VM fall asleep; its port for ssh."""
    running = bench.supervision.life.running
    assert running
    await bench.supervision.saving.suspend(silent, asleep=REASON)
    return running.handle.access.port


def test_a_vm_that_falls_asleep_has_no_vmm_and_holds_its_ports(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        port = await slept(bench)
        assert (bench.told[-1], bench.wakes) == (("suspended", REASON), True)
        assert bench.machine.signals == [signal.SIGKILL]
        assert state_at_rest(bench.directory) == "suspended"
        asleep = read_asleep(bench.directory)
        assert asleep
        assert (asleep.reason, asleep.access.port) == (REASON, port)
        assert read_handle(bench.launcher.paths.vm_run(bench.vm.id)) is None
        assert not bench.left.is_set()
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await bench.launcher.launching.wait()
        assert (bench.told[-1][0], bench.wakes) == ("starting", True)

    with_vm(tmp_path, play)


def test_a_vm_in_use_does_not_fall_asleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "in_use", lambda *_: True)

    async def play(bench: Bench) -> None:
        with pytest.raises(BangerError) as refused:
            await slept(bench)
        assert refused.value.code is Code.CONFLICT
        assert (bench.machine.paused, bench.machine.signals) == (False, [])
        assert state_at_rest(bench.directory) == "stopped"

    with_vm(tmp_path, play)


def test_a_wake_that_fails_refuses_who_came_and_is_not_tried_again(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        port = await slept(bench)
        bench.launcher.troubles = iter([BangerError(Code.NO_SPACE, "no memory left")])
        with pytest.raises(OSError, match=r"reset|lost|pipe"):
            await exchange(port, b"hello")
        await bench.left.wait()
        assert bench.told[-1] == ("suspended", "it could not wake: no memory left")
        assert not bench.wakes
        assert read_asleep(bench.directory) is None
        assert state_at_rest(bench.directory) == "suspended"

    with_vm(tmp_path, play)


def test_a_wake_that_is_taken_back_leaves_it_asleep(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        port = await slept(bench)
        starting = asyncio.create_task(bench.supervision.start(silent))
        await bench.launcher.launching.wait()
        assert await bench.supervision.abandon_start()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert (bench.told[-1], bench.wakes) == (("suspended", REASON), True)
        assert not bench.left.is_set()
        bench.launcher.launching.clear()
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await bench.launcher.launching.wait()

    with_vm(tmp_path, play)


def test_a_person_who_suspends_it_ends_its_sleep(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        port = await slept(bench)
        await bench.supervision.saving.suspend(silent)
        await bench.left.wait()
        assert (bench.told[-1], bench.wakes) == (("suspended", ""), False)
        assert state_at_rest(bench.directory) == "suspended"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)

    with_vm(tmp_path, play)


def test_memory_that_is_dropped_ends_its_sleep(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        await slept(bench)
        await bench.supervision.saving.discard()
        await bench.left.wait()
        assert (bench.told[-1], bench.wakes) == (("stopped", ""), False)

    with_vm(tmp_path, play)


def test_a_stop_finds_nothing_that_runs_and_a_deletion_ends_it(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        await slept(bench)
        await bench.supervision.stop(0.0)
        assert not bench.left.is_set()
        assert bench.supervision.life.state == "suspended"
        await bench.supervision.kill(signal.SIGKILL, forget=True)
        await bench.left.wait()
        assert read_asleep(bench.directory) is None

    with_vm(tmp_path, play)


def test_a_change_of_its_row_is_for_when_it_wakes(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        await slept(bench)
        port = Publication(host_address=HOST, host_port=free_port(), guest_port=80)
        await bench.supervision.apply(
            msgspec.structs.replace(bench.vm, name="other", publish=[port])
        )
        assert bench.supervision.life.vm.name == "other"
        _, writer = await asyncio.open_connection(HOST, port.host_port)
        writer.close()
        await bench.launcher.launching.wait()

    with_vm(tmp_path, play)


def left_asleep(root: Path) -> int:
    """The state directory of a VM that an earlier supervisor left asleep; its port for ssh."""
    paths = Paths(**{name: root / name for name in ("config", "data", "state", "run")})
    port = free_port()
    access = replace(ASLEEP.access, host=HOST, port=port)
    fall_asleep(paths.vm_state(example_vm().id), Asleep(reason=REASON, access=access))
    return port


def test_a_successor_holds_the_ports_again(tmp_path: Path) -> None:
    """After a reboot of the host, too: the run directory is empty then."""
    port = left_asleep(tmp_path)

    async def play(bench: Bench) -> None:
        assert (bench.told, bench.wakes) == ([("suspended", REASON)], True)
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await bench.launcher.launching.wait()

    scenario(tmp_path, play, machine=False, state="suspended")


def test_a_vmm_whose_memory_was_published_is_ended_and_the_vm_sleeps(tmp_path: Path) -> None:
    left_asleep(tmp_path)

    async def play(bench: Bench) -> None:
        assert bench.machine.signals == [signal.SIGKILL]
        assert (bench.told[-1], bench.wakes) == (("suspended", REASON), True)

    scenario(tmp_path, play, facts=FACTS, still=True)
