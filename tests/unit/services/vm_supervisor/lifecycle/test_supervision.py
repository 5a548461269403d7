"""What becomes of a VM whose VMM was taken over, with a scripted launcher and VMM."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.drivers.contract import ExitReason
from shared.contract.messages.vm import Publication, State, Vm
from shared.errors import BangerError, Code
from tests.example import example_vm
from tests.unit.services.vm_supervisor.lifecycle.bench import HOST, Bench, scenario


@pytest.mark.parametrize("state", ["running", "paused", "stopping", "starting", "stopped"])
def test_start_of_a_vm_whose_vmm_ended_with_its_supervisor_boots(
    tmp_path: Path, state: State
) -> None:
    """The row still says ``running`` when the next supervisor is there before the correction."""

    async def play(bench: Bench) -> None:
        starting = asyncio.create_task(bench.supervision.start(lambda _stage, _words: None))
        await bench.launcher.launching.wait()
        await bench.supervision.kill(signal.SIGKILL)
        with pytest.raises(asyncio.CancelledError):
            await starting

    scenario(tmp_path, play, machine=False, state=state)


@pytest.mark.parametrize("trouble", [None, BangerError(Code.INTERNAL, "QEMU refused netdev_add")])
def test_way_out_of_a_guest_taken_over_is_what_the_row_says(
    tmp_path: Path, trouble: BangerError | None
) -> None:
    async def play(bench: Bench) -> None:
        assert bench.network.uplink == [False]
        assert bench.supervision.life.state == "running"

    scenario(tmp_path, play, trouble=trouble)


def wanted(*ports: int, **changes: Any) -> Vm:
    """The row with these published ports and ``changes``."""
    publish = [Publication(host_address=HOST, host_port=port, guest_port=80) for port in ports]
    return example_vm(state="running", publish=publish, **changes)


def test_running_vm_becomes_what_the_row_says(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        row = wanted(8011, 8012, nat=True, vcpu=4)
        await bench.supervision.apply(row)
        assert bench.network.forwards == [8011, 8012]
        assert bench.network.uplink[-1]
        assert bench.supervision.life.vm is row
        await bench.supervision.apply(wanted(8012, nat=False))
        assert bench.network.forwards == [8012]
        assert not bench.network.uplink[-1]

    scenario(tmp_path, play)


def test_port_that_is_taken_is_refused_and_all_stays_as_it_was(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        row = wanted(8011)
        await bench.supervision.apply(row)
        with socket.create_server((HOST, 8012)), pytest.raises(BangerError) as refused:
            await bench.supervision.apply(wanted(8013, 8012, nat=True))
        assert refused.value.code is Code.CONFLICT
        assert bench.supervision.life.vm is row
        assert bench.network.forwards == [8011]
        assert bench.network.uplink == [False, False]

    scenario(tmp_path, play)


def test_way_out_that_cannot_be_changed_leaves_the_ports_as_they_were(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        before = bench.supervision.life.vm
        bench.network.trouble = BangerError(Code.INTERNAL, "QEMU refused netdev_add")
        with pytest.raises(BangerError):
            await bench.supervision.apply(wanted(8011, nat=True))
        assert bench.supervision.life.vm is before
        assert bench.network.forwards == []

    scenario(tmp_path, play)


def test_row_of_a_vm_without_vmm_is_refused(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        with pytest.raises(BangerError) as refused:
            await bench.supervision.apply(wanted(8011))
        assert refused.value.code is Code.NOT_RUNNING

    scenario(tmp_path, play, machine=False)


def test_no_vmm_is_looked_for_where_none_can_be(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        assert bench.supervision.life.running is None
        assert bench.told == []

    scenario(tmp_path, play, ran_before=False)


def test_a_start_is_a_successors_while_the_end_is_being_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may say that the VM has stopped by then, and a user starts it again."""
    storing, stored = asyncio.Event(), asyncio.Event()

    async def store_slowly(state: State, _reason: str, **_: Any) -> None:
        if state == "stopped":
            storing.set()
            await stored.wait()

    async def play(bench: Bench) -> None:
        monkeypatch.setattr(bench, "store_state", store_slowly)
        bench.machine.end(ExitReason.POWEROFF)
        await storing.wait()
        with pytest.raises(BangerError) as refused:
            await bench.supervision.start(lambda *_: None)
        assert refused.value.code is Code.UNAVAILABLE
        stored.set()
        await bench.left.wait()
        assert not bench.launcher.launching.is_set()

    scenario(tmp_path, play)
