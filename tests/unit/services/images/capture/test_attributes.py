import struct
from pathlib import Path

import pytest

from services.images.capture.attributes import MAGIC, attributes
from services.images.capture.ext4 import ROOT_INODE, Ext4, Ext4Inode
from shared.errors import BangerError
from tests.unit.services.images.capture.disks import make_disk


def read(path: Path, name: bytes) -> dict[bytes, bytes]:
    with Ext4(path) as disk:
        return attributes(disk, disk.inode(disk.entries(disk.inode(ROOT_INODE))[name]))


def test_attributes_of_the_inode_and_of_a_block_are_one_set(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").touch()
    large = "v" * 300
    path = make_disk(
        tmp_path / "disk",
        tmp_path / "tree",
        [
            'ea_set file trusted.overlay.opaque "y"',
            f"ea_set file user.large {large}",
            "ea_set file security.name short",
        ],
    )
    assert read(path, b"file") == {
        b"trusted.overlay.opaque": b"y",
        b"user.large": large.encode(),
        b"security.name": b"short",
    }


def test_a_file_without_attributes_has_none(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").touch()
    assert read(make_disk(tmp_path / "disk", tmp_path / "tree"), b"file") == {}


@pytest.mark.parametrize(
    "entry",
    [
        struct.pack("<BBHIII", 200, 1, 0, 0, 0, 0),  # a name that goes on behind the end
        struct.pack("<BBHIII", 1, 1, 60, 0, 60000, 0) + b"n\0\0\0",  # a value behind the end
        struct.pack("<BBHIII", 1, 1, 0, 77, 4, 0) + b"n\0\0\0",  # a value in another inode
    ],
)
def test_an_attribute_that_points_away_is_damage(tmp_path: Path, entry: bytes) -> None:
    (tmp_path / "tree").mkdir()
    with Ext4(make_disk(tmp_path / "disk", tmp_path / "tree")) as disk:
        root = disk.inode(ROOT_INODE)
        fields = {name: getattr(root, name) for name in Ext4Inode.__dataclass_fields__}
        extra = struct.pack("<I", MAGIC) + entry + bytes(4)
        with pytest.raises(BangerError, match="an attribute makes no sense"):
            attributes(disk, Ext4Inode(**{**fields, "extra": extra}))
