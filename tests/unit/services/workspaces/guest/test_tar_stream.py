"""The archive's format: tar programs and tarfile read it, and its length is known before."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from services.workspaces.guest.tar_stream import (
    END,
    ArchiveMember,
    content,
    header,
    padding,
    stored_length,
)

MEMBERS = [
    ArchiveMember(b"directory/"),
    content(b"directory/file", b"bytes\0" * 100, 0o755),
    content(b"empty", b""),
    content(b"exactly one block", bytes(512)),
    content(b"x" * 99, b"1"),
    content(b"x" * 100, b"2"),
    content(b"x" * 101, b"3"),
    content(b"d/" * 120 + b"deep", b"4"),
    content(b"line\nbreak \xff", b"5"),
    content(b"-dash", b"6"),
    ArchiveMember(b"link", link=b"directory/file"),
    ArchiveMember(b"long link", link=b"y" * 150),
    ArchiveMember(b"odd link", link=b"\xff\n"),
    ArchiveMember(b"z" * 100 + b"/"),
]


def archive_of(members: list[ArchiveMember]) -> bytes:
    parts = [header(each) + (each.data or b"") + padding(each.size) for each in members]
    return b"".join(parts) + END


def test_the_length_is_known_before() -> None:
    for member in MEMBERS:
        assert stored_length(member) == len(archive_of([member])) - len(END), member.path


def test_tarfile_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive_of(MEMBERS)), mode="r|") as archive:
        for member, info in zip(MEMBERS, archive, strict=True):
            assert os.fsencode(info.name) == member.path.rstrip(b"/")
            assert os.fsencode(info.linkname) == member.link
            assert (info.size, info.isdir()) == (member.size, member.path.endswith(b"/"))


@pytest.mark.parametrize("program", [["tar"], ["busybox", "tar"]], ids=["GNU", "busybox"])
def test_programs_extract_it(program: list[str], tmp_path: Path) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not here")
    subprocess.run([*program, "-xf", "-"], input=archive_of(MEMBERS), cwd=tmp_path, check=True)
    for member in MEMBERS:
        path = tmp_path / os.fsdecode(member.path)
        if member.link:
            assert os.fsencode(path.readlink()) == member.link
        elif member.data is not None:
            assert path.read_bytes() == member.data
            assert bool(path.stat().st_mode & 0o100) == bool(member.mode & 0o100)
        else:
            assert path.is_dir()


def test_a_file_of_more_than_8_gib_has_its_size() -> None:
    size = (8 << 30) + 5
    info = tarfile.TarInfo.frombuf(header(ArchiveMember(b"big", size=size)), "utf-8", "strict")
    assert info.size == size
    assert stored_length(ArchiveMember(b"big", size=size)) == 512 + size + 507
