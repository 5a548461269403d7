"""What a supervision reports of its VM."""

from pathlib import Path

from services.vm_supervisor.drivers.contract import ExitReason
from shared.contract.messages.vm import LONGEST_REASON
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
