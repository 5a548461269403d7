"""Directories short enough for sockets, and processes that stand in for a VM's."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.paths import Paths

PYTHON = sys.executable


@pytest.fixture
def paths() -> Iterator[Paths]:
    with tempfile.TemporaryDirectory(prefix="bngr", dir="/tmp") as root:
        names = ("config", "data", "state", "run")
        yield Paths(*(Path(root) / name for name in names))


@contextmanager
def program(text: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python program that has printed its first line; killed at the end."""
    argv, pipe = [PYTHON, "-c", text, *arguments], subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()
