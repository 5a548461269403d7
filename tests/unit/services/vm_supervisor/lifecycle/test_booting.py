"""How a VM comes up, with a scripted launcher and VMM."""

import asyncio
import signal
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason
from services.vm_supervisor.lifecycle import booting as under_test
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.lifecycle.bench import SECONDS, Bench, scenario


def test_reboot_of_a_guest_waits_for_a_service_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "RELAUNCH_PAUSE", 0.0)
    away = BangerError(Code.UNAVAILABLE, "nat is not there")

    async def play(bench: Bench) -> None:
        bench.launcher.troubles = iter([away, away, BangerError(Code.NOT_FOUND, "no kernel")])
        bench.machine.end(ExitReason.REBOOT)
        await bench.left.wait()
        assert bench.told[-1] == ("failed", "no kernel")

    scenario(tmp_path, play)


def test_reboot_that_is_stopped_meanwhile_has_not_failed(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.REBOOT)
        await bench.launcher.launching.wait()
        await bench.supervision.stop(SECONDS)
        assert bench.told[-1] == ("stopped", "")

    scenario(tmp_path, play)


def test_signal_that_ends_no_vmm_does_not_end_a_boot(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        starting = asyncio.create_task(bench.supervision.start(lambda _stage, _words: None))
        await bench.launcher.launching.wait()
        with pytest.raises(BangerError) as caught:
            await bench.supervision.kill(signal.SIGCONT)
        assert caught.value.code is Code.NOT_RUNNING
        assert not starting.done()
        await bench.supervision.kill(signal.SIGTERM)
        await bench.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await starting

    scenario(tmp_path, play, machine=False)
