"""sqfstar at the end of the pipe: finished, failed, cut off."""

import os
import subprocess
from pathlib import Path

import pytest

from services.images.oci.flatten.tree.inode import implied_directory
from services.images.oci.flatten.writing import squashfs
from services.images.oci.flatten.writing.squashfs import squashfs_writer
from shared.errors import BangerError, Code
from tests.oci.layers import END, file


def test_a_finished_archive_is_an_image_with_the_roots_mode(tmp_path: Path) -> None:
    output = tmp_path / "image"
    root = implied_directory()
    root.mode = 0o711
    with squashfs_writer(output, root) as descriptor:
        os.write(descriptor, file(b"a", b"contents") + END)
    listing = subprocess.run(
        ["unsquashfs", "-lln", str(output)], stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    assert "drwx--x--x 0/0" in listing
    assert "squashfs-root/a" in listing
    assert list(tmp_path.iterdir()) == [output]


def test_whatever_ends_the_work_leaves_nothing(tmp_path: Path) -> None:
    def work() -> None:
        with squashfs_writer(tmp_path / "image", implied_directory()) as descriptor:
            os.write(descriptor, file(b"a", b"contents"))
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert list(tmp_path.iterdir()) == []


def write_until_it_fails(output: Path) -> None:
    with squashfs_writer(output, implied_directory()) as descriptor:
        while True:
            os.write(descriptor, bytes(1 << 16))


def test_a_program_that_fails_is_told_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sqfstar"
    monkeypatch.setattr(squashfs, "find_program", lambda _: str(program))
    for said, code in (("\x1b[31mout of ideas", Code.INTERNAL), ("No space left", Code.NO_SPACE)):
        program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
        program.chmod(0o700)
        with pytest.raises(BangerError) as raised:
            write_until_it_fails(tmp_path / "image")
        assert raised.value.code is code
        assert raised.value.message.isprintable()


def test_a_program_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squashfs, "find_program", lambda _: None)
    with pytest.raises(BangerError) as raised, squashfs_writer(tmp_path / "i", implied_directory()):
        pass
    assert raised.value.code is Code.MISSING_TOOL


def test_what_the_program_says_is_not_kept_on_the_disk_that_may_be_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sqfstar"
    program.write_text("#!/bin/sh\nreadlink /proc/$$/fd/2 >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(squashfs, "find_program", lambda _: str(program))
    with pytest.raises(BangerError) as raised:
        write_until_it_fails(tmp_path / "image")
    assert str(tmp_path) not in raised.value.message
