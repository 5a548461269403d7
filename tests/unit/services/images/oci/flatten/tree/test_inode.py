"""Inodes are many, so they are small."""

import sys

from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.inode import DirectoryInode, FileInode, implied_directory


def member(kind: MemberKind, mode: int) -> LayerMember:
    return LayerMember(path=(), kind=kind, mode=mode, uid=1, gid=2, mtime=3)


def test_a_file_has_no_dictionary() -> None:
    inode = FileInode(member(MemberKind.FILE, 0o644), 0)
    assert not hasattr(inode, "__dict__")
    assert sys.getsizeof(inode) <= 160


def test_new_metadata_leaves_what_is_in_a_directory() -> None:
    directory = DirectoryInode(member(MemberKind.DIRECTORY, 0o755))
    directory.children[b"a"] = implied_directory()
    directory.take_metadata(member(MemberKind.DIRECTORY, 0o700))
    assert (directory.mode, list(directory.children)) == (0o700, [b"a"])
