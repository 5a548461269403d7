"""What banger brings into a guest makes another guest when it changes."""

from pathlib import Path

import pytest

from services.api.templates.guest_files import ROOTFS, SOURCES, digest_of_guest_files
from services.vm_supervisor.launch import initrd
from shared.host.busybox import find_busybox


@pytest.fixture
def supervisor(tmp_path: Path) -> Path:
    for name in (*SOURCES, f"{ROOTFS}/init", f"{ROOTFS}/units/ssh.service"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


@pytest.mark.parametrize("name", [*SOURCES, f"{ROOTFS}/init", f"{ROOTFS}/units/ssh.service"])
def test_each_file_counts(supervisor: Path, name: str) -> None:
    before = digest_of_guest_files(supervisor)
    assert digest_of_guest_files(supervisor) == before
    (supervisor / name).write_text("after")
    assert digest_of_guest_files(supervisor) != before


def test_a_new_file_counts(supervisor: Path) -> None:
    before = digest_of_guest_files(supervisor)
    (supervisor / ROOTFS / "settle").touch()
    assert digest_of_guest_files(supervisor) != before


def test_they_are_those_that_initrds_are_made_of() -> None:
    place = Path(initrd.__file__).parents[1]
    assert all((place / name).is_file() for name in SOURCES)
    assert initrd.base_part(find_busybox())
    assert place / ROOTFS == initrd._GUEST
