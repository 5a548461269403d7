"""Where QEMU is, and what is said when it is not there."""

from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vmm.qemu.binary import find_program


def test_a_program_is_found_by_its_path(tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.touch(0o755)
    assert find_program(str(qemu)) == qemu


def test_a_wrong_name_in_the_configuration_is_told_as_that() -> None:
    with pytest.raises(BangerError) as caught:
        find_program("/no/such/qemu")
    assert caught.value.code is Code.MISSING_TOOL
    assert "qemu_bin" in caught.value.message


def test_without_the_default_one_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BangerError) as caught:
        find_program()
    assert caught.value.hint == "apt install qemu-system-x86"
