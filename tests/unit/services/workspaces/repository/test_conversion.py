"""Which files may have other bytes than their blob, and which do."""

import hashlib
import os
from pathlib import Path

import pytest

from services.workspaces.repository.conversion import (
    blob_sizes,
    has_bytes_of,
    unmodified_pointers,
    with_conversion,
)
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError
from tests.repositories import commit, empty, git, nasty, ordinary, write


def private(top: Path, tmp_path: Path) -> PrivateGit:
    return PrivateGit(discover(top), tmp_path / "private")


def oid(top: Path, name: str) -> str:
    return git(top, "rev-parse", f"HEAD:{name}").decode().strip()


def test_attributes_name_the_files_that_may_be_converted(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    attributes = "*.a ident\n*.b filter=x\n*.c working-tree-encoding=UTF-16\n*.d text eol=crlf\n"
    write(top, ".gitattributes", attributes)
    write(top, "deep/.gitattributes", "*.a -ident\nodd* filter=x\n")
    for name in ("f.a", "f.b", "f.d", "plain", "deep/f.b", "deep/odd\nname"):
        write(top, name, "x")
    git(top, "add", "-A")
    assert with_conversion(private(top, tmp_path)) == {
        *(b"f.a", b"f.b", b"deep/f.b", b"deep/odd\nname")
    }


def test_sizes_come_in_order_and_a_missing_blob_is_told(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    own = private(top, tmp_path)
    asked = [oid(top, "src/main.py"), oid(top, "README"), oid(top, "src/main.py")]
    assert blob_sizes(own, asked) == [9, 8, 9]
    assert blob_sizes(own, []) == []
    with pytest.raises(BangerError, match="lacks objects"):
        blob_sizes(own, [oid(top, "README"), "1" * 40])


@pytest.mark.parametrize("options", [[], ["--object-format=sha256"]])
def test_bytes_are_compared_by_their_hash(options: list[str], tmp_path: Path) -> None:
    top = empty(tmp_path / "made", *options)
    write(top, "file", "content")
    write(top, "other", "CONTENT")
    commit(top)
    algorithm = "sha256" if options else "sha1"
    with WorkTree(top) as files:
        assert has_bytes_of(files, b"file", oid(top, "file"), 7, algorithm)
        assert not has_bytes_of(files, b"other", oid(top, "file"), 7, algorithm)


def test_a_pointer_is_known_by_the_content_that_it_names(tmp_path: Path) -> None:
    top = nasty.lfs(tmp_path / "made")
    own = private(top, tmp_path)
    candidates = [(name, oid(top, os.fsdecode(name))) for name in (b"asset.bin", b"other.bin")]
    with WorkTree(top) as files:
        assert unmodified_pointers(own, files, candidates) == {b"asset.bin", b"other.bin"}
        content = (top / "asset.bin").read_bytes()
        (top / "asset.bin").write_bytes(content.swapcase())
        assert unmodified_pointers(own, files, candidates) == {b"other.bin"}
        (top / "other.bin").unlink()
        assert unmodified_pointers(own, files, candidates) == set()
        assert unmodified_pointers(own, files, []) == set()


@pytest.mark.parametrize(
    "pointer",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:{0}\nsize {1}\nmore\n",
        "oid sha256:{0}\nsize {1}\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:{0}\nsize {1}" + "0" * 30 + "\n",
        "x" * 2000,
        "",
    ],
)
def test_what_is_no_pointer_names_no_content(pointer: str, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "made")
    content = b"content"
    text = pointer.format(hashlib.sha256(content).hexdigest(), len(content))
    blob = git(top, "hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip()
    write(top, "file", content)
    with WorkTree(top) as files:
        own = private(top, tmp_path)
        assert unmodified_pointers(own, files, [(b"file", blob)]) == set()
