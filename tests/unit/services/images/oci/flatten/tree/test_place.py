"""Directories found and made, links on the way."""

import pytest

from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.inode import DirectoryInode, Inode, implied_directory
from services.images.oci.flatten.tree.place import make_place, place_of
from shared.errors import BangerError


def link(target: bytes) -> Inode:
    return Inode(
        LayerMember(path=(), kind=MemberKind.SYMLINK, mode=0, uid=0, gid=0, mtime=0, target=target)
    )


def root(**children: Inode) -> DirectoryInode:
    made = implied_directory()
    made.children.update({name.encode(): inode for name, inode in children.items()})
    return made


def test_the_root_is_a_place() -> None:
    top = root()
    place = place_of(top, [])
    assert place
    assert place.directory is top


def test_what_is_missing_is_made_or_not_found() -> None:
    top = root()
    assert place_of(top, [b"a", b"b"]) is None
    made = make_place(top, [b"a", b"b"], b"c")
    assert made.names == [b"a", b"b"]
    found = place_of(top, [b"a", b"b"])
    assert found
    assert found.directory is made.directory


def test_the_place_behind_a_link_is_the_one_it_leads_to() -> None:
    top = root(a=root(b=root()), relative=link(b"./a//b"), absolute=link(b"/a/../a/b"))
    for name in (b"relative", b"absolute"):
        place = place_of(top, [name])
        assert place
        assert place.names == [b"a", b"b"]


def test_dots_behind_missing_names_are_counted() -> None:
    top = root(a=link(b"x/y/../z"))
    assert make_place(top, [b"a"], b"n").names == [b"x", b"z"]


@pytest.mark.parametrize("target", [b"..", b"/..", b"x/../..", b"a"])
def test_no_way_leads_out_or_in_a_circle(target: bytes) -> None:
    with pytest.raises(BangerError):
        make_place(root(a=link(target)), [b"a"], b"n")


def test_255_links_are_followed() -> None:
    chain = {f"l{n}": link(b"l%d" % (n + 1)) for n in range(254)}
    top = root(**chain, l254=link(b"end"), end=root())
    assert place_of(top, [b"l0"])
    top.children[b"end"] = link(b"other")
    with pytest.raises(BangerError, match="circle"):
        place_of(top, [b"l0"])


def test_links_that_make_one_another_longer_are_given_up() -> None:
    chain = {f"l{n}": link(b"./" * 1000 + b"l%d" % (n + 1)) for n in range(200)}
    with pytest.raises(BangerError, match="without an end"):
        place_of(root(**chain, l200=root()), [b"l0"])
