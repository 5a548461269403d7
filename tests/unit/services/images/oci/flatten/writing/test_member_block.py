"""Members written for sqfstar, read by Python's tarfile."""

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.inode import FileInode, Inode
from services.images.oci.flatten.writing.member_block import hard_link_block, member_block

NAMES = st.binary(min_size=1, max_size=300).map(
    lambda name: name.translate(None, b"\0/").strip(b".") or b"a"
)


def read_back(block: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(block), encoding="utf-8") as archive:
        info = archive.next()
    assert info
    return info


@given(
    NAMES,
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**32 - 1),
    st.one_of(st.just(0), st.integers(0, 2**40)),
)
def test_a_file_is_read_as_it_is(name: bytes, mode: int, uid: int, mtime: int, size: int) -> None:
    member = LayerMember(
        path=(name,), kind=MemberKind.FILE, mode=mode, uid=uid, gid=uid, mtime=mtime, size=size
    )
    block = member_block(name, FileInode(member, 0))
    assert len(block) % 512 == 0
    info = read_back(block)
    assert info.name.encode("utf-8", "surrogateescape") == name
    assert (info.mode, info.uid, info.gid) == (mode, uid, uid)
    assert (info.mtime, info.size) == (mtime, size)


def test_attributes_and_long_targets_are_in_an_extended_header() -> None:
    member = LayerMember(
        path=(),
        kind=MemberKind.SYMLINK,
        mode=0o777,
        uid=0,
        gid=0,
        mtime=0,
        target=b"t" * 300,
        xattrs=((b"user.a", b"1=2"),),
    )
    info = read_back(member_block(b"link", Inode(member)))
    assert info.issym()
    assert info.linkname == "t" * 300
    assert info.pax_headers["SCHILY.xattr.user.a"] == "1=2"


def test_a_hard_link_names_its_target() -> None:
    info = read_back(hard_link_block(b"n" * 200, b"t" * 101))
    assert info.islnk()
    assert (info.name, info.linkname) == ("n" * 200, "t" * 101)


def test_a_whiteout_of_overlayfs_is_device_0_0() -> None:
    member = LayerMember(
        path=(), kind=MemberKind.CHARACTER_DEVICE, mode=0, uid=0, gid=0, mtime=0, device=(0, 0)
    )
    info = read_back(member_block(b"gone", Inode(member)))
    assert info.ischr()
    assert (info.devmajor, info.devminor) == (0, 0)
