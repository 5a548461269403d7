"""The binary is believed by what it says of itself."""

from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vmm.firecracker.binary import (
    check_version,
    find_program,
    newer_than_tested,
    of_states,
    parse,
    show,
    version_of,
)


def program(directory: Path, says: str) -> Path:
    path = directory / "firecracker"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def refusal(path: Path) -> BangerError:
    with pytest.raises(BangerError) as caught:
        check_version(path)
    return caught.value


def test_the_version_is_what_it_says(tmp_path: Path) -> None:
    assert version_of(program(tmp_path, "Firecracker v1.12.1")) == (1, 12, 1)


def test_one_that_has_no_acpi_is_refused_with_both_versions(tmp_path: Path) -> None:
    error = refusal(program(tmp_path, "Firecracker v1.7.0"))
    assert error.code is Code.INCOMPATIBLE
    assert "1.7.0" in error.message
    assert "1.8.0" in error.message


@pytest.mark.parametrize("says", ["", "QEMU emulator version 7.2"])
def test_another_program_of_that_name_is_not_taken(tmp_path: Path, says: str) -> None:
    error = refusal(program(tmp_path, says))
    assert error.code is Code.MISSING_TOOL
    assert "firecracker_bin" in error.hint


def test_a_file_that_cannot_be_run_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "firecracker").write_text("")
    assert refusal(tmp_path / "firecracker").code is Code.MISSING_TOOL


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(BangerError) as caught:
        find_program("no-such-firecracker")
    assert caught.value.code is Code.MISSING_TOOL
    assert "no-such-firecracker" in caught.value.message


def test_patches_of_a_tested_version_are_not_new() -> None:
    assert not newer_than_tested((1, 12, 9))
    assert newer_than_tested((1, 13, 0))
    assert show((1, 13, 0)) == "1.13.0"


def test_a_version_is_read_as_it_is_shown_and_patches_leave_states_alone() -> None:
    assert parse(show((1, 12, 1))) == (1, 12, 1)
    assert parse("None") == parse("") == (0, 0, 0)
    assert of_states((1, 12, 1)) == of_states((1, 12, 0)) == "1.12"
