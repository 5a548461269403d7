"""Archives that are damaged, foreign or hostile. All are refused, and nothing of them stays."""

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.images.archive.contents import ArchiveHead, encode_head
from services.images.archive.writing import write_archive
from services.images.jobs.import_archive import run
from services.images.jobs.requests import ImportJob
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.unit.services.images.library.shelf import add

CONTENT = b"content" * 100


def compressed(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def member(name: str, content: bytes, **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


class Forge:
    """The parts of a good archive, for a test to change."""

    def __init__(self, image: ImageManifest) -> None:
        self.image = image
        self.head = member("banger-image.json", encode_head(ArchiveHead(format=1, images=[image])))
        self.name = f"{image.id}/rootfs.squashfs"
        self.file = member(self.name, CONTENT)
        self.end = bytes(1024)

    def typed(self, kind: bytes, target: str = "") -> bytes:
        """In place of the file: another kind of member."""
        return self.head + member(self.name, b"", type=kind, linkname=target) + self.end

    def around(self, extra: bytes) -> bytes:
        return self.head + extra + self.file + self.end


LINK, SYMLINK, DEVICE = tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE

TARS: dict[str, Callable[[Forge], bytes]] = {
    "nothing": lambda f: b"",
    "only zeros": lambda f: f.end * 10,
    "no tar": lambda f: os.urandom(2048),
    "another tar": lambda f: member("manifest.json", b"[]") + f.end,
    "an oci layout": lambda f: member("oci-layout", b"{}") + f.end,
    "the file first": lambda f: f.file + f.head + f.end,
    "only the head": lambda f: f.head,
    "head and end": lambda f: f.head + f.end,
    "half a header": lambda f: f.head + f.file[:300],
    "half a file": lambda f: f.head + f.file[:700],
    "no end": lambda f: f.head + f.file,
    "half an end": lambda f: f.head + f.file + bytes(512),
    "one more file": lambda f: f.head + f.file + member("more", b"x") + f.end,
    "the file twice": lambda f: f.head + f.file + f.file + f.end,
    "the head twice": lambda f: f.head + f.head + f.file + f.end,
    "data after the end": lambda f: f.head + f.file + f.end + b"x" * 512,
    "a file after the end": lambda f: f.head + f.file + f.end + member("more", b"x"),
    "zeros without end": lambda f: f.head + f.file + f.end + bytes(2 << 20),
    "a directory before": lambda f: f.around(member("d", b"", type=tarfile.DIRTYPE)),
    "a pax header before": lambda f: f.around(member("x", b"11 path=..\n", type=b"x")),
    "a global pax header": lambda f: f.around(member("x", b"11 path=..\n", type=b"g")),
    "a long name before": lambda f: f.around(member("././@LongLink", b"../../x", type=b"L")),
    "a long link before": lambda f: f.around(member("././@LongLink", b"/etc", type=b"K")),
    "a volume label": lambda f: f.around(member("label", b"", type=b"V")),
    "a symlink": lambda f: f.typed(SYMLINK, "/etc/passwd"),
    "a hard link": lambda f: f.typed(LINK, "/etc/passwd"),
    "a device": lambda f: f.typed(DEVICE),
    "a fifo": lambda f: f.typed(tarfile.FIFOTYPE),
    "a sparse file": lambda f: f.typed(tarfile.GNUTYPE_SPARSE),
    "an old regular file": lambda f: f.head + member(f.name, CONTENT, type=b"\0") + f.end,
    "a contiguous file": lambda f: f.head + member(f.name, CONTENT, type=b"7") + f.end,
    "a file with a target": lambda f: f.head + member(f.name, CONTENT, linkname="/x") + f.end,
    "dot dot": lambda f: f.head + member("../" + f.name, CONTENT) + f.end,
    "an absolute name": lambda f: f.head + member("/" + f.name, CONTENT) + f.end,
    "a leading dot": lambda f: f.head + member("./" + f.name, CONTENT) + f.end,
    "a manifest": lambda f: f.head + member(f"{f.image.id}/manifest.json", CONTENT) + f.end,
    "another image": lambda f: f.head + member("0" * 16 + "/rootfs.squashfs", CONTENT) + f.end,
    "escape codes": lambda f: f.head + member("\x1b[2J\x1b]0;x\x07", CONTENT) + f.end,
    "other content": lambda f: f.head + member(f.name, CONTENT[::-1]) + f.end,
    "one bit": lambda f: f.head + member(f.name, b"C" + CONTENT[1:]) + f.end,
    "a shorter file": lambda f: f.head + member(f.name, CONTENT[:-1]) + f.end,
    "a longer file": lambda f: f.head + member(f.name, CONTENT + b"x") + f.end,
    "a size that lies": lambda f: f.head + member(f.name, CONTENT, size=1 << 40) + f.end,
    "a negative size": lambda f: f.head + member(f.name, CONTENT, size=-1) + f.end,
    "a wrong checksum": lambda f: f.head + b"x" + f.file[1:] + f.end,
    "a head that is huge": lambda f: member("banger-image.json", b" " * (5 << 20)) + f.file + f.end,
    "a head without end": lambda f: member("banger-image.json", b"{", size=1 << 40),
    "an empty head": lambda f: member("banger-image.json", b"") + f.file + f.end,
}


def refused(tmp_path: Path, data: bytes) -> BangerError:
    """The error of importing ``data``; nothing is left of it, and what was there stays."""
    root = tmp_path / "images"
    before = add(root, b"before", "before")
    listing = sorted(path.name for path in root.rglob("*"))
    file = tmp_path / "archive"
    file.write_bytes(data)
    job = tmp_path / "job"
    job.mkdir()
    with pytest.raises(BangerError) as raised:
        run(ImportJob(images=str(root), file=str(file)), JobContext(job, lambda *_: None))
    assert sorted(path.name for path in root.rglob("*")) == listing
    assert (root / before.id / "rootfs.squashfs").read_bytes() == b"before"
    assert raised.value.message.isprintable()
    return raised.value


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(add(tmp_path / "elsewhere", CONTENT, "web:1"))


def test_the_forge_makes_a_good_archive(tmp_path: Path, forge: Forge) -> None:
    file = tmp_path / "archive"
    file.write_bytes(compressed(forge.around(b"")))
    request = ImportJob(images=str(tmp_path / "images"), file=str(file))
    assert run(request, JobContext(tmp_path, lambda *_: None)).image == forge.image


@pytest.mark.parametrize("case", TARS)
def test_a_tar_that_is_not_exactly_right_is_refused(
    tmp_path: Path, forge: Forge, case: str
) -> None:
    assert refused(tmp_path, compressed(TARS[case](forge))).code is Code.INVALID


FILES: dict[str, Callable[[bytes], bytes]] = {
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-1],
    "a changed byte": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "something behind": lambda data: data + b"something",
    "a window of a GiB": lambda data: b"\x28\xb5\x2f\xfd\x00\xa0" + data[6:],
    "a wrong magic": lambda data: b"\x00" + data[1:],
    "zip": lambda data: b"PK\x03\x04" + data[4:],
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_zstd_does_not_take_is_refused(tmp_path: Path, forge: Forge, case: str) -> None:
    data = compressed(forge.around(b""))
    assert refused(tmp_path, FILES[case](data)).code is Code.INVALID


def test_a_file_that_unpacks_to_terabytes_is_refused_at_its_head(
    tmp_path: Path, forge: Forge
) -> None:
    """5 GiB of zeros are 160 KB of zstd; a reader that believed it would be busy for minutes."""
    bomb = compressed(bytes(64 << 20)) * 80
    assert refused(tmp_path, bomb).code is Code.INVALID


def test_an_image_that_does_not_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    image = add(tmp_path / "elsewhere", CONTENT, "web")
    head = encode_head(ArchiveHead(format=1, images=[image])).replace(
        b'"size":700', b'"size":70000000000000000'
    )
    data = compressed(member("banger-image.json", head) + bytes(4096))
    assert refused(tmp_path, data).code is Code.NO_SPACE


def test_a_stack_in_which_one_file_is_wrong_leaves_none_of_it(tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    base = add(there, b"base", "base")
    top = add(there, CONTENT, "top", base=base)
    good = tmp_path / "good"
    write_archive([top, base], lambda image: there / image.id, good)
    raw = subprocess.run(["zstd", "-dqc", good], capture_output=True, check=True).stdout
    place = raw.rindex(b"content")
    bad = raw[:place] + b"C" + raw[place + 1 :]
    assert refused(tmp_path, compressed(bad)).code is Code.INVALID
