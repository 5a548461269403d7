"""QEMU's system call filter is used where QEMU starts with it, and asked for once."""

import shutil
from pathlib import Path

import pytest

from shared.config import Config
from shared.vmm.info import LaunchContext
from shared.vmm.qemu.binary import PROGRAM
from shared.vmm.qemu.sandbox import SANDBOX, sandbox_options


def context(root: Path, program: str) -> LaunchContext:
    return LaunchContext(Config(qemu_bin=program), root / "kernel", root, lambda _: None)


def program_that(root: Path, ends: str) -> Path:
    """Counts its runs in a file beside it."""
    program = root / "qemu"
    program.write_text(f'#!/bin/sh\necho "$*" >>{root}/runs\n{ends}\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(("ends", "options"), [("exit 0", SANDBOX), ("exit 1", ())])
def test_filter_is_used_where_the_program_starts_with_it(
    tmp_path: Path, ends: str, options: tuple[str, ...]
) -> None:
    asked = context(tmp_path, str(program_that(tmp_path, ends)))
    assert sandbox_options(asked) == options
    assert sandbox_options(asked) == options
    (run,) = (tmp_path / "runs").read_text().splitlines()
    assert " ".join(SANDBOX) in run


def test_another_program_is_asked_anew(tmp_path: Path) -> None:
    asked = context(tmp_path, str(program_that(tmp_path, "exit 1")))
    assert sandbox_options(asked) == ()
    program_that(tmp_path, "exit 0")
    assert sandbox_options(asked) == SANDBOX


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="QEMU is not installed")
def test_real_qemu_answers(tmp_path: Path) -> None:
    assert sandbox_options(context(tmp_path, PROGRAM)) in ((), SANDBOX)
    assert (tmp_path / "sandbox.json").exists()
