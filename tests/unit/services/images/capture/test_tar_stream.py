import os
import tarfile
import threading
from pathlib import Path

import pytest

from services.images.capture.ext4 import Ext4
from services.images.capture.layer import layer_entries
from services.images.capture.tar_stream import write_tar
from tests.unit.services.images.capture.disks import make_disk, upper_tree


def archive(disk: Path, into: Path) -> dict[str, tarfile.TarInfo]:
    with Ext4(disk) as filesystem, into.open("wb") as output:
        write_tar(filesystem, layer_entries(filesystem), output.fileno(), lambda _: None)
    with tarfile.open(into, errors="surrogateescape") as read:
        return {member.name: member for member in read}


def test_an_archive_says_all_of_each_file(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    (upper / "file").write_bytes(b"x" * 5000)
    (upper / "file").chmod(0o4755)
    (upper / "again").hardlink_to(upper / "file")
    (upper / os.fsdecode(b"odd\xff")).touch()
    (upper / "link").symlink_to("file")
    commands = [
        "cd upper",
        "mknod gone c 0 0",
        "mknod disk b 8 1",
        "cd /",
        "ea_set upper/file user.name value",
        "set_inode_field upper/file uid 70000",
    ]
    found = archive(make_disk(tmp_path / "disk", tmp_path / "tree", commands), tmp_path / "tar")
    file = found["again"]  # sorted by name: this one has the content
    assert (file.size, file.mode, file.uid) == (5000, 0o4755, 70_000)
    assert file.pax_headers["SCHILY.xattr.user.name"] == "value"
    assert (found["file"].type, found["file"].linkname) == (tarfile.LNKTYPE, "again")
    assert (found["gone"].type, found["gone"].devmajor, found["gone"].devminor) == (b"3", 0, 0)
    assert (found["disk"].type, found["disk"].devmajor, found["disk"].devminor) == (b"4", 8, 1)
    assert found["link"].linkname == "file"
    assert os.fsdecode(b"odd\xff") in found


@pytest.mark.parametrize("target", ["/" + "x" * 99, "/" + "x" * 300, "/ümlaut", "short"])
def test_the_target_of_a_link_is_not_in_a_record_of_pax(tmp_path: Path, target: str) -> None:
    """sqfstar 4.5 would take the first slash away."""
    (upper_tree(tmp_path / "tree") / "link").symlink_to(target)
    found = archive(make_disk(tmp_path / "disk", tmp_path / "tree"), tmp_path / "tar")
    assert found["link"].linkname == target
    assert "linkpath" not in found["link"].pax_headers


def test_whiteouts_that_are_one_inode_are_written_as_many(tmp_path: Path) -> None:
    upper_tree(tmp_path / "tree")
    commands = [
        "cd upper",
        "mknod one c 0 0",
        "cd /",
        "link upper/one upper/two",
        "set_inode_field upper/one links_count 2",
    ]
    found = archive(make_disk(tmp_path / "disk", tmp_path / "tree", commands), tmp_path / "tar")
    assert [found[name].type for name in ("one", "two")] == [tarfile.CHRTYPE] * 2


def test_holes_are_zeros(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    with (upper / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    disk = make_disk(tmp_path / "disk", tmp_path / "tree")
    found = archive(disk, tmp_path / "tar")
    with tarfile.open(tmp_path / "tar") as read:
        content = read.extractfile(found["sparse"])
        assert content is not None
        assert content.read() == (upper / "sparse").read_bytes()


def test_a_reader_that_is_gone_is_told(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    (upper / "large").write_bytes(b"x" * 1_000_000)
    disk = make_disk(tmp_path / "disk", tmp_path / "tree")
    reader, writer = os.pipe()
    threading.Thread(target=os.close, args=(reader,)).start()
    with Ext4(disk) as filesystem, pytest.raises(BrokenPipeError):
        write_tar(filesystem, layer_entries(filesystem), writer, lambda _: None)
    os.close(writer)
