"""What a supervision reports of its VM."""

from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason
from shared.contract.messages.vm import LONGEST_REASON
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.lifecycle.bench import Bench, scenario


def test_reason_that_quotes_a_guest_is_cut_and_printable(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.PANIC, "Kernel panic \x1b[2J" + "A" * 48_000)
        await bench.left.wait()
        state, reason = bench.told[-1]
        assert state == "failed"
        assert len(reason) == LONGEST_REASON
        assert reason.isprintable()

    scenario(tmp_path, play)


def test_a_start_is_not_told_that_a_vmm_runs_which_has_just_ended(tmp_path: Path) -> None:
    """Its end is known some milliseconds later; whoever asks again then is served."""

    async def play(bench: Bench) -> None:
        running = bench.supervision.life.running
        assert running
        await bench.supervision.start(lambda _stage, _words: None)
        running.handle.start_time += 1  # another process by now
        with pytest.raises(BangerError, match="ended this moment") as refused:
            await bench.supervision.start(lambda _stage, _words: None)
        assert refused.value.code is Code.UNAVAILABLE

    scenario(tmp_path, play)
