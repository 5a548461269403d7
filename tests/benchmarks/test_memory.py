"""The watch over processes sees what a child of a child has held."""

import os
import subprocess
import sys

from benchmarks.harness.memory import Peaks
from tests.waiting import eventually

_HOLD = "import sys; held = bytearray(50_000_000); sys.stdin.read()"


def test_peak_of_a_grandchild_is_seen_under_its_command_line() -> None:
    shell = ["sh", "-c", f"{sys.executable} -c '{_HOLD}'; true"]
    with (
        Peaks([os.getpid()]) as peaks,
        subprocess.Popen(shell, stdin=subprocess.PIPE) as process,
    ):
        eventually(lambda: peaks.megabytes and peaks.largest > 50)
        assert process.stdin
        process.stdin.close()
    largest = max(peaks.megabytes, key=lambda command: peaks.megabytes[command])
    assert largest.startswith(sys.executable)
