import os
import random
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest

from services.images.capture.attributes import attributes
from services.images.capture.ext4 import ROOT_INODE, Ext4, Ext4Inode, Extent
from services.images.capture.layer import tree_entries
from shared.errors import BangerError, Code
from tests.unit.services.images.capture.disks import change, make_disk


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    (top / "small").write_bytes(b"some words\n")
    (top / "empty").write_bytes(b"")
    (top / "large").write_bytes(random.Random(1).randbytes(3_000_001))
    with (top / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
        file.truncate(9_000_000)
    (top / "short").symlink_to("small")
    (top / "long").symlink_to("/" + "x" * 200)
    (top / "many").mkdir()
    for number in range(1500):
        (top / "many" / f"a file with the number {number}").touch()
    os.utime(top / "small", (5_000_000_000, 5_000_000_000))
    (top / "empty").chmod(0o4711)
    return top


@pytest.fixture(scope="module")
def disk(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk.ext4"
    return make_disk(
        path,
        tree,
        [
            "mknod null c 1 3",
            "mknod sda257 b 259 60000",
            "mknod pipe p",
            "set_inode_field small mtime_extra 1",  # after 2038, which mke2fs leaves out
            "set_inode_field small uid 70000",
            "set_inode_field small gid 4000000000",
        ],
    )


def found(disk: Ext4, name: str) -> Ext4Inode:
    return disk.inode(disk.entries(disk.inode(ROOT_INODE))[os.fsencode(name)])


@pytest.mark.parametrize("name", ["small", "empty", "large", "sparse"])
def test_files_have_their_contents(disk: Path, tree: Path, name: str) -> None:
    with Ext4(disk) as filesystem:
        inode = found(filesystem, name)
        assert filesystem.content(inode, 10_000_000) == (tree / name).read_bytes()
        assert stat.S_ISREG(inode.mode)


def test_holes_are_told(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        extents = list(filesystem.extents(found(filesystem, "sparse")))
    assert sum(extent.length for extent in extents) == 9_000_000
    assert extents[0] == Extent(0, 5_000_000 & -filesystem.block_size, None)
    assert [extent.position is None for extent in extents] == [True, False, True]


def test_owners_modes_and_times_are_whole(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        small, empty = found(filesystem, "small"), found(filesystem, "empty")
    assert (small.uid, small.gid, small.mtime) == (70_000, 4_000_000_000, 5_000_000_000)
    assert stat.S_IMODE(empty.mode) == 0o4711


def test_links_have_their_targets(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        assert filesystem.link_target(found(filesystem, "short")) == b"small"
        assert filesystem.link_target(found(filesystem, "long")) == b"/" + b"x" * 200


def test_devices_have_their_numbers(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        null, large = found(filesystem, "null"), found(filesystem, "sda257")
        assert stat.S_ISFIFO(found(filesystem, "pipe").mode)
    assert stat.S_ISCHR(null.mode)
    assert null.device == (1, 3)
    assert stat.S_ISBLK(large.mode)
    assert large.device == (259, 60_000)


def test_a_large_directory_is_read_whole(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        names = filesystem.entries(found(filesystem, "many"))
    assert len(names) == 1500


def test_small_blocks_are_read_too(tree: Path, tmp_path: Path) -> None:
    """mke2fs gives a filesystem below 512 MiB blocks of 1 KiB where mke2fs.conf says so."""
    path = make_disk(tmp_path / "disk", tree, size="64M")
    with Ext4(path) as filesystem:
        inode = found(filesystem, "large")
        assert filesystem.content(inode, 10_000_000) == (tree / "large").read_bytes()


def test_a_filesystem_that_was_not_unmounted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    path = make_disk(tmp_path / "disk", tmp_path / "tree")
    change(path, ["feature +needs_recovery"])
    with pytest.raises(BangerError, match="was not unmounted") as caught:
        Ext4(path)
    assert caught.value.code is Code.CONFLICT


def test_features_that_are_not_known_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    path = make_disk(tmp_path / "disk", tmp_path / "tree")
    change(path, ["feature +encrypt"])
    with pytest.raises(BangerError, match="features that banger does not read") as caught:
        Ext4(path)
    assert caught.value.code is Code.INCOMPATIBLE


@pytest.mark.parametrize("content", [b"", bytes(1 << 16), b"x" * 5000])
def test_what_is_no_ext4_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(content)
    with pytest.raises(BangerError, match="is damaged"):
        Ext4(tmp_path / "disk")


def test_a_link_in_place_of_the_disk_is_not_followed(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to(disk)
    with pytest.raises(OSError):
        Ext4(tmp_path / "disk")


def test_a_directory_in_itself_is_damage(tmp_path: Path) -> None:
    (tmp_path / "tree/one/two").mkdir(parents=True)
    path = make_disk(tmp_path / "disk", tmp_path / "tree", ["link one one/two/again"])
    with Ext4(path) as filesystem, pytest.raises(BangerError, match="two places"):
        list(tree_entries(filesystem, ROOT_INODE))


def test_a_name_with_a_slash_is_damage(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/abcXdef").touch()
    path = make_disk(tmp_path / "disk", tmp_path / "tree")
    path.write_bytes(path.read_bytes().replace(b"abcXdef", b"../Xdef"))
    with Ext4(path) as filesystem, pytest.raises(BangerError, match="a name that cannot be"):
        filesystem.entries(filesystem.inode(ROOT_INODE))


def test_extents_outside_of_the_disk_are_damage(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        node = struct.pack("<HHHHIIHHI", 0xF30A, 1, 4, 0, 0, 0, 8, 0xFFFF, 0xFFFFFFFF) + bytes(36)
        inode = _with_block(found(filesystem, "large"), node)
        with pytest.raises(BangerError, match="outside of itself"):
            list(filesystem.extents(inode))


def test_a_node_of_extents_that_leads_to_itself_ends(disk: Path) -> None:
    with Ext4(disk) as filesystem:
        leaf = found(filesystem, "large")
        (extent, *_) = filesystem.extents(leaf)
        assert extent.position is not None
        block = extent.position // filesystem.block_size
        node = struct.pack("<HHHHIIIHH", 0xF30A, 1, 4, 5, 0, 0, block, 0, 0) + bytes(36)
        with pytest.raises(BangerError, match="makes no sense"):
            list(filesystem.extents(_with_block(leaf, node)))


def _with_block(inode: Ext4Inode, block: bytes) -> Ext4Inode:
    fields = {name: getattr(inode, name) for name in Ext4Inode.__dataclass_fields__}
    return Ext4Inode(**{**fields, "block": block[:60]})


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_guest_writes_is_read_or_refused_in_time(tmp_path: Path, seed: int) -> None:
    """Bytes of the metadata are changed at random; nothing but ``BangerError`` comes out."""
    (tmp_path / "tree/directory").mkdir(parents=True)
    (tmp_path / "tree/directory/file").write_bytes(b"x" * 10_000)
    (tmp_path / "tree/link").symlink_to("y" * 100)
    path = make_disk(
        tmp_path / "disk", tmp_path / "tree", ["ea_set link user.name value"], size="1M"
    )
    content, chance = bytearray(path.read_bytes()), random.Random(seed)
    used = [at for at in range(1024, len(content)) if content[at]]
    for at in chance.sample(used, 30):
        content[at] = chance.randrange(256)
    path.write_bytes(content)
    began = time.monotonic()
    with suppress(BangerError), Ext4(path) as filesystem:
        for entry in tree_entries(filesystem, ROOT_INODE):
            attributes(filesystem, entry.inode)
            if stat.S_ISREG(entry.inode.mode):
                list(filesystem.extents(entry.inode))
            if stat.S_ISLNK(entry.inode.mode):
                filesystem.link_target(entry.inode)
    assert time.monotonic() - began < 5
