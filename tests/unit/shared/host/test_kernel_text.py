"""Texts of the kernel, with names that somebody on the host has chosen to break their readers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.host.cgroup import support
from shared.host.kernel_text import process_fields, read_kernel_text, read_process_name
from shared.host.process import ProcessId, start_time

ROOT = Path(__file__).parents[4]
HOSTILE = b") Z 1\n\xff\x1b[2J"


@contextmanager
def process_called(name: bytes) -> Iterator[int]:
    """A process that has given itself this name (prctl(2))."""
    rename = "import ctypes, os, sys; ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]))"
    argv = [sys.executable, "-c", f"{rename}; print(flush=True); input()", os.fsdecode(name)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_process_with_any_name_has_its_fields_and_its_start_time() -> None:
    with process_called(HOSTILE) as pid:
        state, parent, *_ = process_fields(pid)
        assert state in "RSD"
        assert int(parent) == os.getpid()
        assert start_time(pid) == int(process_fields(pid)[19])
        assert ProcessId(pid, start_time(pid) or 0).start_time > 0


def test_name_of_a_process_is_fit_to_be_printed() -> None:
    with process_called(HOSTILE) as pid:
        name = read_process_name(pid)
    assert name.startswith(") Z 1 ")
    assert name.isprintable()


def test_bytes_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"one \xff\n")
    assert os.fsencode(read_kernel_text(tmp_path / "text")) == b"one \xff\n"


def test_mount_point_that_is_no_utf8_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    strange = "tmpfs /mnt/\udcff\x85\u2028cgroup2 x tmpfs rw 0 0\ntmpfs\n"
    found = support(f"{strange}cgroup2 {tmp_path} cgroup2 rw 0 0\n", "1:name=\udcff:/\n0::/\n")
    assert found.base == tmp_path


@pytest.mark.parametrize("house", ["cli", "services", "shared"])
def test_no_text_of_the_kernel_that_holds_names_is_read_as_strict_utf8(house: str) -> None:
    strict = re.compile(r"""["'](/proc/(?!sys/)|/sys/)[^\n]*\.read_text\(""")
    found = [str(path) for path in (ROOT / house).rglob("*.py") if strict.search(path.read_text())]
    assert found == []
