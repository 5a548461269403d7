"""The tree that layers make: against a model of sets and loops, and case by case."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.inode import DirectoryInode, FileInode
from services.images.oci.flatten.tree.layer_tree import LayerTree
from shared.errors import BangerError

Path = tuple[bytes, ...]


def member(
    path: str, kind: MemberKind = MemberKind.FILE, uid: int = 0, target: str = ""
) -> LayerMember:
    parts = tuple(part.encode() for part in path.split("/") if part)
    return LayerMember(
        path=parts, kind=kind, mode=0o755, uid=uid, gid=0, mtime=1, target=target.encode()
    )


def directory(path: str, uid: int = 0) -> LayerMember:
    return member(path, MemberKind.DIRECTORY, uid)


def symlink(path: str, target: str) -> LayerMember:
    return member(path, MemberKind.SYMLINK, target=target)


def hard_link(path: str, target: str) -> LayerMember:
    return member(path, MemberKind.HARD_LINK, target=target)


def tree_of(*layers: list[LayerMember]) -> LayerTree:
    tree = LayerTree()
    for members in layers:
        tree.begin_layer()
        for each in members:
            tree.apply(each)
    return tree


def listing(tree: LayerTree) -> dict[str, int]:
    """Path -> owner, which tells members apart; directories have a slash."""
    found = {}
    waiting = [("", tree.root)]
    while waiting:
        above, folder = waiting.pop()
        for name, inode in folder.children.items():
            path = above + name.decode()
            if isinstance(inode, DirectoryInode):
                waiting.append((path + "/", inode))
                path += "/"
            found[path] = inode.uid
    return found


@dataclass
class SimpleModel:
    """Layers applied by searching all paths at each step. No symbolic links."""

    files: dict[Path, int] = field(default_factory=dict)
    directories: dict[Path, int] = field(default_factory=dict)
    of_this_layer: set[Path] = field(default_factory=set)

    def remove(self, path: Path) -> None:
        for kept in (self.files, self.directories):
            for each in [each for each in kept if each[: len(path)] == path]:
                del kept[each]

    def apply(self, one: LayerMember) -> None:
        path, name = one.path, one.path[-1]
        if name.startswith(b".wh."):
            self.whiteout(path[:-1], name)
            return
        for length in range(1, len(path)):
            if path[:length] in self.files:
                raise LookupError("below a file")
            self.directories.setdefault(path[:length], 0)
        if one.kind is MemberKind.DIRECTORY and path in self.directories:
            self.directories[path] = one.uid
        else:
            self.remove(path)
            if one.kind is MemberKind.DIRECTORY:
                self.directories[path] = one.uid
            elif one.kind is MemberKind.HARD_LINK:
                self.files[path] = self.files[tuple(one.target.split(b"/"))]
            else:
                self.files[path] = one.uid
        self.of_this_layer |= {path[:length] for length in range(1, len(path) + 1)}

    def whiteout(self, folder: Path, name: bytes) -> None:
        top = folder if name == b".wh..wh..opq" else (*folder, name[4:])
        for kept in (self.files, self.directories):
            for each in list(kept):
                below = each[: len(top)] == top and (each != top or top != folder)
                if below and each not in self.of_this_layer:
                    kept.pop(each)

    def listing(self) -> dict[str, int]:
        named = {b"/".join(path).decode(): owner for path, owner in self.files.items()}
        for path, owner in self.directories.items():
            named[b"/".join(path).decode() + "/"] = owner
        return named


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
OWNERS = st.integers(1, 1 << 20)
MEMBERS = st.one_of(
    st.builds(member, PATHS, st.just(MemberKind.FILE), OWNERS),
    st.builds(directory, PATHS, OWNERS),
    st.builds(hard_link, PATHS, PATHS),
    PATHS.map(lambda path: member("/".join((*path.split("/")[:-1], f".wh.{path[-1]}")))),
    st.one_of(st.just(""), PATHS).map(lambda path: member(f"{path}/.wh..wh..opq")),
)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.lists(st.lists(MEMBERS, max_size=8), max_size=5))
def test_layers_make_what_a_simple_model_makes(layers: list[list[LayerMember]]) -> None:
    tree, model = LayerTree(), SimpleModel()
    for members in layers:
        tree.begin_layer()
        model.of_this_layer = set()
        for each in members:
            try:
                model.apply(each)
            except LookupError:
                with pytest.raises(BangerError):
                    tree.apply(each)
                return
            tree.apply(each)
        assert listing(tree) == model.listing()


def test_a_later_member_of_a_layer_replaces_an_earlier_one() -> None:
    assert listing(tree_of([member("a", uid=1), member("a", uid=2)])) == {"a": 2}


def test_a_directory_over_a_directory_changes_its_metadata_only() -> None:
    tree = tree_of([directory("a", 1), member("a/b", uid=2)], [directory("a", 3)])
    assert listing(tree) == {"a/": 3, "a/b": 2}


def test_links_in_the_way_are_followed_inside_the_image() -> None:
    lower = [directory("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/usr/../usr/lib")]
    tree = tree_of(lower, [member("lib/a", uid=1), member("abs/b", uid=2)])
    assert {"usr/lib/a", "usr/lib/b"} <= listing(tree).keys()


def test_a_dangling_link_in_the_way_gets_its_directory() -> None:
    tree = tree_of([symlink("run", "var/run"), member("run/a", uid=1)])
    assert listing(tree)["var/run/a"] == 1


def test_a_directory_replaces_a_link_to_one() -> None:
    tree = tree_of([directory("usr"), symlink("lib", "usr")], [directory("lib", 1)])
    assert listing(tree) == {"usr/": 0, "lib/": 1}


def test_a_whiteout_reaches_through_links() -> None:
    lower = [symlink("lib", "usr"), member("usr/a", uid=1), member("usr/b", uid=2)]
    assert "usr/a" not in listing(tree_of(lower, [member("lib/.wh.a")]))


def test_a_hard_link_keeps_the_inode_of_its_moment() -> None:
    tree = tree_of([member("a", uid=1)], [hard_link("b", "a"), member("a", uid=2)])
    assert listing(tree) == {"a": 2, "b": 1}
    assert tree.root.children[b"b"].is_shared


def test_files_of_aufs_are_no_files_of_the_image() -> None:
    lower = [member(".wh..wh.plnk/1.2"), member(".wh..wh.aufs"), member("a", uid=1)]
    assert listing(tree_of(lower)) == {"a": 1}


def test_devices_are_left_out_and_replace_what_was_there() -> None:
    node = member("a", MemberKind.BLOCK_DEVICE)
    tree = tree_of([member("a"), member("b")], [node])
    assert listing(tree) == {"b": 0}
    assert tree.notices.lines() == ["left out: 1 device nodes (a)"]


def test_a_file_says_in_which_layer_its_contents_are() -> None:
    tree = tree_of([member("a")], [member("b")])
    layers = {
        name: inode.layer
        for name, inode in tree.root.children.items()
        if isinstance(inode, FileInode)
    }
    assert layers == {b"a": 0, b"b": 1}


def test_a_very_deep_tree_is_removed_without_recursion() -> None:
    deep = "/".join("d" * 1500)
    tree = tree_of([member(deep)], [member("e")])
    tree.begin_layer()
    tree.apply(member("d/.wh..wh..opq"))
    assert listing(tree) == {"d/": 0, "e": 0}
