"""What is felt at every prompt: the CLI against the interpreter that runs it."""

import subprocess
import sys
from pathlib import Path

from benchmarks.harness.measure import Figure, median, paired, seconds

RUNS = 20
BANGER = str(Path(sys.executable).with_name("banger"))


def banger(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the CLI; a failure ends the benchmark with what it said."""
    done = subprocess.run([BANGER, *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"banger {' '.join(arguments)}: {done.stderr.decode()}")
    return done


def figures(names: list[str]) -> list[Figure]:
    """``names``: ten VMs to create, list and delete again."""
    creations = [_timed("vm", "create", "--no-start", "--name", name) for name in names]
    try:
        listing, floor = paired(
            lambda: banger("vm", "list", "-o", "json"),
            lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
            runs=RUNS,
        )
    finally:
        deletions = [_timed("vm", "delete", name) for name in names]
    return [
        Figure(
            f"vm list -o json, {len(names)} VMs",
            "s",
            listing,
            7.0,
            floor,
            "python -c pass",
            RUNS,
        ),
        Figure("vm create --no-start", "s", median(creations), 0.3, runs=len(names)),
        Figure("vm delete of a stopped VM", "s", median(deletions), 0.5, runs=len(names)),
    ]


def _timed(*arguments: str) -> float:
    return seconds(lambda: banger(*arguments))
