"""Standard streams that whoever started us had closed."""

import subprocess
import sys

import pytest

from tests.home import REPOSITORY

LOOK = """
import os, sys
from cli.terminal.standard_streams import open_missing
open_missing()
assert None not in (sys.stdin, sys.stdout, sys.stderr)
with open(os.devnull) as other:
    sys.exit(other.fileno())
"""


@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_the_next_file_gets_none_of_their_numbers(closed: tuple[int, ...]) -> None:
    closing = " ".join(f"{fd}>&-" for fd in closed)
    argv = ["sh", "-c", f'exec "$@" {closing}', "sh", sys.executable, "-c", LOOK]
    done = subprocess.run(argv, cwd=REPOSITORY, check=False, timeout=50)
    assert done.returncode == 3
