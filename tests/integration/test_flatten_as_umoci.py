"""Flattened images against what umoci unpacks from the same layers, file by file.

umoci runs rootless, which every user can: owners that it cannot set are in an extended attribute of
its own. As root it runs with owners and capabilities, too. The squashfs is read by unsquashfs.
"""

import hashlib
import os
import random
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.images.oci.flatten.flattening import flatten
from tests.oci.layers import (
    directory,
    file,
    hard_link,
    header,
    opaque,
    padded,
    pax,
    stored,
    symlink,
    whiteout,
    xattrs,
)
from tests.oci.layout import write_layout

pytestmark = pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is not installed")
ROOTLESS = "user.rootlesscontainers"
LISTED = re.compile(
    rb"[-dlp](\S{9}) (\d+)/(\d+) +\d+ \S+ \S+ squashfs-root/?(.*?)(?: -> .*)?", re.DOTALL
)
"""A line of unsquashfs -lln. A name may hold a line feed, a target may not hold an arrow."""
UNCHANGED = 2**32 - 1


@dataclass(frozen=True)
class Found:
    """A file as lstat(2), listxattr(2) and its contents show it."""

    mode: int
    owner: tuple[int, int]
    mtime: int
    content: bytes
    """A digest, or the target of a link."""
    xattrs: tuple[tuple[str, bytes], ...]
    same_as: bytes
    """The first name of the inode."""


def look(root: Path) -> dict[bytes, Found]:
    """Everything below ``root``, the directory itself as b""."""
    found: dict[bytes, Found] = {}
    first: dict[int, bytes] = {}
    top = os.fsencode(root)
    for folder, directories, files in os.walk(top):
        for path in (folder, *(folder + b"/" + name for name in (*directories, *files))):
            name = os.path.relpath(path, top)
            if name not in found:
                found[name] = _look_at(path, name, first)
    return found


def _look_at(path: bytes, name: bytes, first: dict[int, bytes]) -> Found:
    status = os.lstat(path)
    content = b""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)  # noqa: PTH115  bytes
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as opened:
            content = hashlib.file_digest(opened, "sha256").digest()
    names = os.listxattr(path, follow_symlinks=False)
    return Found(
        mode=status.st_mode,
        owner=(status.st_uid, status.st_gid),
        mtime=int(status.st_mtime),
        content=content,
        xattrs=tuple(sorted((key, os.getxattr(path, key, follow_symlinks=False)) for key in names)),
        same_as=name if stat.S_ISDIR(status.st_mode) else first.setdefault(status.st_ino, name),
    )


def by_umoci(layout: Path, bundle: Path, *, rootless: bool) -> dict[bytes, Found]:
    option = ["--rootless"] if rootless else []
    argv = ["umoci", "unpack", *option, "--image", f"{layout}:latest", str(bundle)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    found = look(bundle / "rootfs")
    return {name: _with_owner(each) for name, each in found.items()} if rootless else found


def _with_owner(found: Found) -> Found:
    """The owner that the attribute says: a protobuf message of two numbers; none is root."""
    said = dict(found.xattrs)
    numbers = {1: 0, 2: 0}
    message = iter(said.pop(ROOTLESS, b""))
    for tag in message:
        shift = 0
        for octet in message:
            numbers[tag >> 3] |= (octet & 0x7F) << shift
            shift += 7
            if octet < 128:
                break
    numbers = {key: 0 if value == UNCHANGED else value for key, value in numbers.items()}
    return replace(found, owner=(numbers[1], numbers[2]), xattrs=tuple(sorted(said.items())))


def by_flatten(image: Path, target: Path) -> dict[bytes, Found]:
    """What is in the squashfs. Owners and modes are those of its listing: an ordinary user cannot
    have them set."""
    argv = ["unsquashfs", "-q", "-n", "-d", str(target), str(image)]
    subprocess.run(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=os.geteuid() == 0
    )
    listing = subprocess.run(
        ["unsquashfs", "-lln", str(image)], stdout=subprocess.PIPE, check=True
    ).stdout
    listed = {}
    for line in re.split(rb"\n(?=[-dlp][rwxsStT-]{9} \d+/\d+ )", listing.rstrip(b"\n")):
        if parts := LISTED.fullmatch(line):
            listed[parts[4] or b"."] = (mode_bits(parts[1]), (int(parts[2]), int(parts[3])))
    found = look(target)
    return {
        name: replace(each, mode=stat.S_IFMT(each.mode) | listed[name][0], owner=listed[name][1])
        for name, each in found.items()
    }


def mode_bits(letters: bytes) -> int:
    """The permissions that ls(1) writes as "rwsr-xr-T"."""
    bits = 0
    for letter, bit in zip(letters, range(8, -1, -1), strict=True):
        if letter in b"rwxst":
            bits |= 1 << bit
        if letter in b"sStT":
            bits |= {6: 0o4000, 3: 0o2000, 0: 0o1000}[bit]
    return bits


def compare(tmp_path: Path, layers: Sequence[Iterable[bytes]], *, rootless: bool) -> None:
    started = int(time.time())
    blobs = stored(tmp_path / "blobs", layers)
    expected = by_umoci(write_layout(tmp_path / "layout", blobs), tmp_path / "b", rootless=rootless)
    image = tmp_path / "image.squashfs"
    flatten(blobs, image)
    got = by_flatten(image, tmp_path / "unpacked")
    assert sorted(got) == sorted(expected)
    for name, found in got.items():
        if stat.S_ISDIR(found.mode) and expected[name].mtime >= started:
            # Made by umoci, or something in it was, for a name whose directories nothing describes.
            expected[name] = replace(expected[name], mtime=found.mtime)
        if rootless and not (stat.S_ISREG(found.mode) or stat.S_ISDIR(found.mode)):
            # The kernel refuses the attribute that would say who owns it: xattr(7).
            expected[name] = replace(expected[name], owner=found.owner)
    # sqfstar 4.5 takes the time of the day for the root directory, whatever -root-time says.
    expected[b"."] = replace(expected[b"."], mtime=got[b"."].mtime)
    assert got == expected


TORTURE: list[list[bytes]] = [
    [
        directory(b"./", mode=0o755),
        *(
            directory(b"d%d" % n, mode=0o700 + n, uid=n, gid=2 * n, mtime=n * 1000)
            for n in range(8)
        ),
        *(file(b"d%d/f%d" % (n, m), b"%d %d" % (n, m)) for n in range(8) for m in range(4)),
        *(file(b"d0/deep/er/and/deeper/%d" % n, bytes([n]) * 5000) for n in range(4)),
        file(b"setuid", b"x", mode=0o4755, uid=1000, gid=1000),
        file(b"setgid", b"x", mode=0o2755, gid=70000),
        directory(b"sticky", mode=0o1777),
        directory(b"usr"),
        directory(b"usr/lib"),
        file(b"usr/lib/a", b"a"),
        symlink(b"lib", b"usr/lib"),
        symlink(b"abs", b"/usr/lib"),
        symlink(b"up", b"usr/../usr/./lib"),
        symlink(b"dangling", b"not/there"),
        symlink(b"d1/to-file", b"f0"),
        file(b"one", b"linked"),
        hard_link(b"two", b"one"),
        hard_link(b"d2/three", b"one"),
        hard_link(b"link-to-link", b"lib"),
        header(b"pipe", b"6", mode=0o640, uid=3),
        xattrs((b"user.a", b"1"), (b"user.b", b"\0\xff=\n")) + file(b"attributes", b"x"),
        xattrs((b"user.dir", b"d")) + directory(b"with-attributes"),
        xattrs((b"security.selinux", b"label"), (b"user.kept", b"k")) + file(b"labelled"),
        pax((b"path", b"long/" + b"n" * 255 + b"/" + b"m" * 200)) + file(b"x", b"long"),
        pax((b"linkpath", b"t" * 300)) + symlink(b"long-target", b"x"),
        file(b"latin-\xe9\xff", b"not UTF-8"),
        file(b"new\nline and \\backslash\t", b"odd"),
        file("snow☃".encode(), b"UTF-8"),
        file(b"empty"),
        header(b"directory-of-the-seventh-edition/", b"\0"),
        file(b"file-with-a-slash/", b"x"),
        pax((b"mtime", b"1234567890.987654321")) + file(b"dated", b"x"),
        pax(
            (b"GNU.sparse.map", b"4096,4,100000,3"),
            (b"GNU.sparse.size", b"200000"),
            (b"GNU.sparse.numblocks", b"2"),
        )
        + file(b"sparse", b"datamap"),
        pax(
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.realsize", b"50000"),
            (b"GNU.sparse.name", b"sparse-1.0"),
        )
        + file(b"GNUSparseFile.0/sparse-1.0", padded(b"1\n40000\n7\n") + b"sparse!"),
    ],
    [
        whiteout(b"d0/f0"),
        whiteout(b"d1"),
        opaque(b"d2"),
        file(b"d2/new", b"new"),
        file(b"d3/f0", b"changed", mode=0o600, uid=5),
        file(b"d3/late", b"stays"),
        opaque(b"d3"),
        file(b"d3/later", b"stays too"),
        file(b"d4", b"was a directory"),
        directory(b"d5/f0"),
        file(b"d5/f0/inside", b"was a file"),
        directory(b"d6", mode=0o710, uid=77),
        file(b"lib/through-link", b"1"),
        file(b"abs/through-absolute", b"2"),
        file(b"up/through-up", b"3"),
        file(b"dangling/made", b"4"),
        whiteout(b"lib/a"),
        file(b"one", b"no longer linked"),
        hard_link(b"four", b"two"),
        hard_link(b"d7/five", b"two"),
        file(b"before/a", b"made before the whiteout"),
        whiteout(b"before"),
        whiteout(b"never-there"),
        whiteout(b"never/there/at/all"),
        file(b"twice", b"first"),
        file(b"twice", b"second", mode=0o400),
        xattrs((b"user.c", b"2")) + file(b"attributes", b"other attributes"),
        directory(b"with-attributes"),
        symlink(b"d7/f0", b"f1"),
        file(b"d7/f1", b"under a link"),
    ],
    [
        symlink(b"d6", b"d7"),
        file(b"d6/in-d7", b"x"),
        directory(b"d4", mode=0o711),
        file(b"d4/again", b"x"),
        whiteout(b"two"),
        hard_link(b"six", b"four"),
        directory(b"lib"),
        file(b"lib/own", b"no link any more"),
        whiteout(b"d0/deep/er/and"),
        file(b"d0/deep/er/kept", b"x"),
        whiteout(b"d0/deep"),
        file(b"d7/f0", b"no link"),
        directory(b"./", mode=0o711, mtime=5_000_000),
    ],
]


@pytest.fixture(
    params=[
        True,
        pytest.param(False, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")),
    ]
)
def rootless(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_torture_tree(tmp_path: Path, rootless: bool) -> None:
    compare(tmp_path, TORTURE, rootless=rootless)


def test_each_depth_of_the_torture_tree(tmp_path: Path) -> None:
    for count in range(1, len(TORTURE)):
        (tmp_path / str(count)).mkdir()
        compare(tmp_path / str(count), TORTURE[:count], rootless=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_capabilities_and_trusted_attributes(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    layers = [
        [xattrs((b"security.capability", capability)) + file(b"ping", b"x", mode=0o755)],
        [hard_link(b"ping6", b"ping"), xattrs((b"trusted.a", b"1")) + directory(b"t")],
    ]
    compare(tmp_path, layers, rootless=False)


def test_127_layers(tmp_path: Path) -> None:
    """As many as overlayfs lets Docker have. Each changes what those below made."""
    layers = [
        [
            file(b"log/%d" % n, b"%d" % n, uid=n),
            file(b"current", b"%d" % n),
            directory(b"common", mode=0o700 + n % 64),
            hard_link(b"links/%d" % n, b"current"),
            *([whiteout(b"log/%d" % (n - 2)), whiteout(b"links/%d" % (n // 2))] if n > 2 else []),
            *([opaque(b"log")] if n % 50 == 49 else []),
        ]
        for n in range(127)
    ]
    compare(tmp_path, layers, rootless=True)


NAMES = [b"a", b"b", b"c", b"d"]


def random_layers(seed: int) -> list[list[bytes]]:
    """Members with few names, so that they meet. Those that umoci refuses are left out by the
    choice of names: only directories and links to them have something below."""
    chance = random.Random(seed)
    folders = [b"", b"a/", b"a/b/", b"link/", b"c/"]
    layers = [[directory(b"a"), directory(b"a/b"), directory(b"c"), symlink(b"link", b"a/b")]]
    for _ in range(chance.randint(1, 5)):
        members = []
        for _ in range(chance.randint(1, 12)):
            folder = chance.choice(folders)
            leaf = folder + chance.choice((b"x", b"y", b"z"))
            number = chance.randrange(1000)
            members.append(
                chance.choice(
                    (
                        file(leaf, b"%d" % number, uid=number),
                        file(leaf, b"%d" % number),
                        directory(leaf, mode=0o700 + number % 64),
                        symlink(leaf, b"%d" % number),
                        whiteout(leaf),
                        whiteout(folder[:-1] or b"x"),
                        opaque(folder[:-1]),
                        directory(folder[:-1] or b".", mode=0o711),
                        file(folder + b"x/y" if number % 2 else leaf, b"deep"),
                        hard_link(folder + b"h", leaf) if number % 4 == 0 else file(leaf),
                    )
                )
            )
        layers.append(members)
    return layers


@pytest.mark.timeout(120)
def test_random_layers(tmp_path: Path) -> None:
    compared = 0
    for seed in range(100):
        place = tmp_path / str(seed)
        place.mkdir()
        layers = random_layers(seed)
        if not accepted(place, layers):
            continue
        compare(place, layers, rootless=True)
        compared += 1
    assert compared > 50


def accepted(place: Path, layers: Sequence[Iterable[bytes]]) -> bool:
    """Whether umoci takes them: it refuses a file below a file, as flattening does."""
    blobs = stored(place / "tried", layers)
    layout = write_layout(place / "tried-layout", blobs)
    argv = ["umoci", "unpack", "--rootless", "--image", f"{layout}:latest", str(place / "t")]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
