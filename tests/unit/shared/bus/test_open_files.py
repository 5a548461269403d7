"""The limit of open descriptors."""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def limit_after(soft: int, hard: int) -> tuple[int, int]:
    """Soft and hard limit of a process that began with these and raised its own."""
    program = (
        "import resource; from shared.bus.open_files import raise_limit; raise_limit();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    first, second = done.stdout.split()
    return int(first), int(second)


def test_soft_limit_is_raised_as_far_as_the_hard_one_allows() -> None:
    assert limit_after(256, 512) == (512, 512)


def test_higher_limit_is_left_alone() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit_after(hard, hard) == (hard, hard)
