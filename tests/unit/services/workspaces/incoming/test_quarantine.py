"""Packs that a hostile guest may send: one clear error each, and nothing of them anywhere."""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from services.workspaces.incoming.quarantine import (
    lone_quarantine,
    most_bytes,
    receive_pack,
    require,
)
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from tests.repositories import fingerprint, git, ordinary

COMMIT, TREE, BLOB = 1, 2, 3
NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
Object = tuple[int, bytes]


def oid(kind: int, content: bytes) -> bytes:
    return hashlib.sha1(b"%s %d\0%s" % (NAMES[kind], len(content), content)).digest()


def entry(mode: bytes, name: bytes, kind: int = BLOB, content: bytes = b"x") -> bytes:
    return b"%s %s\0%s" % (mode, name, oid(kind, content))


def pack(objects: Iterable[Object], *, count: int | None = None, size: int | None = None) -> bytes:
    """gitformat-pack(5). ``count`` and ``size`` may be lies."""
    given = list(objects)
    body = b"PACK" + struct.pack(">II", 2, len(given) if count is None else count)
    for kind, content in given:
        length = len(content) if size is None else size
        first, length = length & 15, length >> 4
        head = bytearray([kind << 4 | first])
        while length:
            head[-1] |= 128
            head.append(length & 127)
            length >>= 7
        body += bytes(head) + zlib.compress(content)
    return body + hashlib.sha1(body).digest()


@pytest.fixture
def host(tmp_path: Path) -> PrivateGit:
    return PrivateGit(discover(ordinary(tmp_path / "host")), tmp_path / "git")


def receive(host: PrivateGit, sent: bytes, limit: int | None = None) -> int:
    return receive_pack(host, io.BytesIO(sent).read, host.git_directory / "objects", limit)


TREES = {
    "dot-dot": entry(b"40000", b"..", TREE, b""),
    "dot": entry(b"40000", b".", TREE, b""),
    "git": entry(b"40000", b".git", TREE, b""),
    "GIT": entry(b"100644", b".GIT"),
    "ntfs": entry(b"100644", b"git~1"),
    "hfs": entry(b"100644", ".g\u200cit".encode()),
    "slash": entry(b"100644", b"a/../b"),
    "absolute": entry(b"100644", b"/etc/passwd"),
    "empty": entry(b"100644", b""),
    "symlink then below it": entry(b"120000", b"a") + entry(b"40000", b"a", TREE, b""),
    "twice": entry(b"100644", b"a") + entry(b"100644", b"a"),
    "unsorted": entry(b"100644", b"b") + entry(b"100644", b"a"),
    "gitmodules is a symlink": entry(b"120000", b".gitmodules"),
    "cut off": b"100644 a\0short",
    "no oid at all": b"100644",
    "null": b"100644 a\0" + bytes(20),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=list(TREES))
def test_a_hostile_tree(host: PrivateGit, tree: bytes) -> None:
    assert_refused(host, pack([(TREE, tree), (TREE, b""), (BLOB, b"x")]))


def assert_refused(
    host: PrivateGit, sent: bytes, code: Code = Code.GUEST_FAILED, limit: int | None = None
) -> None:
    before = fingerprint(host.repository.top)
    with pytest.raises(BangerError) as caught:
        receive(host, sent, limit)
    assert caught.value.code is code
    assert caught.value.message.isprintable()
    assert fingerprint(host.repository.top) == before
    assert list((host.git_directory / "objects/pack").iterdir()) == []


MODULES = b'[submodule "x"]\n\tpath = x\n\turl = -u./evil\n'
GOOD = pack([(BLOB, b"good" * 1000)])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", Code.LOST),
        (GOOD[:20], Code.LOST),
        (GOOD[:-1], Code.LOST),
        (b"Welcome to Debian!\n" * 10, Code.GUEST_FAILED),
        (GOOD[:-20] + bytes(20), Code.GUEST_FAILED),
        (pack([(BLOB, b"x")], count=2), Code.GUEST_FAILED),
        (pack([(BLOB, b"x")], count=2**32 - 1), Code.GUEST_FAILED),
        (pack([(BLOB, b"x" * 50)], size=40), Code.GUEST_FAILED),
        (pack([(BLOB, b"x" * 50)], size=1 << 61), Code.GUEST_FAILED),
        (pack([(5, b"no such kind")]), Code.GUEST_FAILED),
        (pack([(TREE, entry(b"100644", b"a", BLOB, b"not sent"))]), Code.GUEST_FAILED),
        (pack([(TREE, entry(b"40000", b"a", BLOB)), (BLOB, b"x")]), Code.GUEST_FAILED),
        (pack([(COMMIT, b"tree " + b"0" * 40 + b"\n\nm")]), Code.GUEST_FAILED),
        (
            pack([(BLOB, MODULES), (TREE, entry(b"100644", b".gitmodules", BLOB, MODULES))]),
            Code.GUEST_FAILED,
        ),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, Code) else str(len(value)),
)
def test_a_hostile_pack(host: PrivateGit, sent: bytes, code: Code) -> None:
    assert_refused(host, sent, code)


def test_a_pack_has_a_limit(host: PrivateGit, tmp_path: Path) -> None:
    noise = hashlib.shake_128(b"").digest(1 << 20)
    assert_refused(host, pack([(BLOB, noise)]), Code.TOO_LARGE, 1 << 19)
    assert receive(host, pack([(BLOB, noise)]), 1 << 21) > 1 << 20
    assert 0 < most_bytes(tmp_path) <= 16 << 30


def test_an_honest_pack_refers_to_objects_of_the_host(host: PrivateGit) -> None:
    readme = git(host.repository.top, "cat-file", "blob", "HEAD:README")
    tree = entry(b"100644", b"README", BLOB, readme)
    receive(host, pack([(TREE, tree)]))
    require(host, {oid(TREE, tree).hex(): "tree"})
    receive(host, pack([]))


def test_names_of_objects_are_looked_up(host: PrivateGit) -> None:
    receive(host, GOOD)
    blob = oid(BLOB, b"good" * 1000).hex()
    require(host, {blob: "blob", host.run("rev-parse", "HEAD").decode().strip(): "commit"})
    for kinds in ({blob: "tree"}, {"1" * 40: "tree"}, {blob: "blob", "2" * 40: "tree"}):
        with pytest.raises(BangerError) as caught:
            require(host, kinds)
        assert caught.value.code is Code.GUEST_FAILED


def test_a_quarantine_of_its_own(tmp_path: Path) -> None:
    alone = lone_quarantine(tmp_path / "alone", "sha1")
    receive_pack(alone, io.BytesIO(GOOD).read, tmp_path / "alone/objects")
    require(alone, {oid(BLOB, b"good" * 1000).hex(): "blob"})
