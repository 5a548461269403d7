"""Which QEMU a saved machine was made by."""

from pathlib import Path

import pytest

from shared.config import Config
from shared.errors import BangerError, Code
from shared.vmm.info import LaunchContext
from shared.vmm.qemu.release import release


def _context(root: Path, words: str) -> LaunchContext:
    program = root / "qemu"
    program.write_text(f"#!/bin/sh\necho asked >> {root}/asked\necho '{words}'\n")
    program.chmod(0o755)
    return LaunchContext(Config(qemu_bin=str(program)), root, root)


def test_updates_of_a_release_are_the_same_release(tmp_path: Path) -> None:
    context = _context(tmp_path, "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)")
    assert release(context) == "7.2"


def test_qemu_is_asked_once(tmp_path: Path) -> None:
    context = _context(tmp_path, "QEMU emulator version 10.0.2")
    assert [release(context), release(context)] == ["10.0", "10.0"]
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_program_that_does_not_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        release(_context(tmp_path, "hello"))
    assert caught.value.code is Code.INCOMPATIBLE
