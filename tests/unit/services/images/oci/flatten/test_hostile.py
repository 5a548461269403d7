"""Layers that ask for what no image may, or are not what they say: each is refused, with a code and
in words, and nothing is written anywhere."""

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.images.oci.flatten.flattening import flatten
from services.images.oci.flatten.limits import FlattenLimits
from shared.errors import BangerError, Code
from tests.oci.layers import (
    END,
    StoredLayer,
    compressed,
    directory,
    file,
    hard_link,
    header,
    opaque,
    padded,
    pax,
    record,
    store,
    stored,
    symlink,
    whiteout,
    xattrs,
)

LIMITS = FlattenLimits(entries=200, metadata_bytes=1 << 16, total_bytes=4 << 20)
LOWER = (directory(b"etc"), file(b"etc/passwd", b"root"), symlink(b"out", b"../../.."))


def long(name: bytes, kind: bytes = b"L") -> bytes:
    """GNU tar's way to say a long name."""
    return header(b"././@LongLink", kind, size=len(name) + 1) + padded(name + b"\0")


def raw_pax(content: bytes) -> bytes:
    return header(b"pax", b"x", size=len(content)) + padded(content)


def sparse(map_: bytes, size: bytes = b"100", data: bytes = b"x" * 10) -> bytes:
    return pax((b"GNU.sparse.map", map_), (b"GNU.sparse.size", size)) + file(b"s", data)


def leading_map(numbers: bytes, data: bytes = b"") -> bytes:
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    return pax(*records, (b"GNU.sparse.realsize", b"100")) + file(b"s", padded(numbers) + data)


NAMES = {
    "absolute": file(b"/etc/passwd"),
    "absolute with many slashes": file(b"///etc/passwd"),
    "absolute in an extended header": pax((b"path", b"/etc/passwd")) + file(b"a"),
    "absolute by GNU's long name": long(b"/etc/passwd") + file(b"a"),
    "absolute by its prefix": header(b"passwd", prefix=b"/etc"),
    "up": file(b"../etc/passwd"),
    "up in the middle": file(b"etc/../../passwd"),
    "up and down again": file(b"etc/../passwd"),
    "up at the end": directory(b"etc/.."),
    "only up": directory(b".."),
    "up behind a dot": file(b"./../passwd"),
    "up in an extended header": pax((b"path", b"a/../../b")) + file(b"a"),
    "up by GNU's long name": long(b"../" * 40 + b"etc") + file(b"a"),
    "up by its prefix": header(b"passwd", prefix=b".."),
    "up in a sparse file's name": pax(
        (b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", b"4"), (b"GNU.sparse.name", b"../s")
    )
    + file(b"s", b"data"),
    "none": file(b""),
    "none in an extended header": pax((b"path", b"")) + file(b""),
    "a zero byte": pax((b"path", b"etc/passwd\0.txt")) + file(b"a"),
    "a component of 256 bytes": long(b"a" * 256) + file(b"a"),
    "more than 4096 bytes": long(b"a/" * 2049) + file(b"a"),
    "the root as a file": file(b"."),
    "the root as a link": symlink(b"./", b"/etc"),
    "the root as a hard link": hard_link(b".", b"etc/passwd"),
    "the root as a device": header(b"/", b"3", device=(1, 3)),
}
LINKS = {
    "through a link out of the image": file(b"out/etc/passwd"),
    "through an absolute link that goes up": symlink(b"a", b"/../../..") + file(b"a/b"),
    "through a link that goes up behind a missing name": symlink(b"a", b"x/../../..")
    + file(b"a/b"),
    "through two links out of the image": symlink(b"a", b"out") + file(b"a/b"),
    "through a link to itself": symlink(b"a", b"a") + file(b"a/b"),
    "through a circle of links": symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/b"),
    "a directory below a file": directory(b"etc/passwd/a"),
    "a file below a file": file(b"etc/passwd/a"),
    "a file below a link to a file": symlink(b"a", b"etc/passwd") + file(b"a/b"),
    "a file below a device": header(b"n", b"6") + file(b"n/b"),
    "hard link up": hard_link(b"a", b"../../etc/shadow"),
    "hard link up in the middle": hard_link(b"a", b"etc/../../shadow"),
    "hard link to what is not there": hard_link(b"a", b"etc/shadow"),
    "absolute hard link to the host": hard_link(b"a", b"/etc/shadow"),
    "hard link before its target": hard_link(b"a", b"b") + file(b"b"),
    "hard link to itself": file(b"a") + hard_link(b"a", b"a"),
    "hard link to a directory": hard_link(b"a", b"etc"),
    "hard link to the root": hard_link(b"a", b"/"),
    "hard link through a link out of the image": hard_link(b"a", b"out/etc/shadow"),
    "hard link through a circle": symlink(b"c", b"c") + hard_link(b"a", b"c/b"),
    "hard link to what it replaces": hard_link(b"etc", b"etc/passwd"),
    "hard link without a target": hard_link(b"a", b""),
    "hard link to a removed file": whiteout(b"etc/passwd") + hard_link(b"a", b"etc/passwd"),
    "symbolic link without a target": symlink(b"a", b""),
    "symbolic link with a target of 4097 bytes": long(b"a" * 4097, b"K") + symlink(b"a", b"b"),
    "a zero byte in a target": pax((b"linkpath", b"etc\0b")) + symlink(b"a", b"b"),
    "a path that grows by a link": symlink(b"l", b"d/" * 49 + b"d")
    + long(b"l/" + b"e/" * 2045 + b"f")
    + file(b"x"),
}
WHITEOUTS = {
    "of nothing": file(b"etc/.wh."),
    "of its directory": file(b"etc/.wh.."),
    "of its parent": file(b"etc/.wh..."),
    "of the root's parent": file(b".wh..."),
    "as a directory": file(b"etc/.wh.passwd/a"),
    "as a directory of a whiteout": file(b".wh.etc/.wh.passwd"),
    "as a directory of an opaque one": file(b".wh.etc/.wh..wh..opq"),
    "up": file(b"../.wh.etc"),
    "absolute": file(b"/etc/.wh.passwd"),
    "through a link out of the image": file(b"out/.wh.etc"),
    "opaque through a link out of the image": opaque(b"out"),
    "through a circle": symlink(b"c", b"c") + file(b"c/.wh.a"),
}
HEADERS = {
    "wrong checksum": file(b"a").replace(b"ustar", b"ustat", 1),
    "no checksum": header(b"a")[:148] + b" " * 8 + header(b"a")[156:],
    "no archive": b"\x7fELF" + bytes(range(256)) * 8,
    "text": b"<html>not found</html>" * 100,
    "mode that is not octal": header(b"a", fields={100: b"rwxr-x\0"}),
    "size that is not octal": header(b"a", fields={124: b"9\0"}),
    "size with a sign": header(b"a", fields={124: b"-1\0"}),
    "size with an underscore": header(b"a", fields={124: b"1_0\0"}),
    "negative size in base 256": header(b"a", fields={124: b"\xff" * 12}),
    "size beyond 64 bits": header(b"a", fields={124: b"\x80" + b"\xff" * 11}),
    "negative owner": header(b"a", fields={108: b"\xff" * 8}),
    "owner beyond 32 bits": pax((b"uid", b"4294967296")) + file(b"a"),
    "owner -1": pax((b"gid", b"4294967295")) + file(b"a"),
    "owner that is no number": pax((b"uid", b"root")) + file(b"a"),
    "unknown type": header(b"a", b"Z"),
    "volume label": header(b"a", b"V"),
    "multi-volume": header(b"a", b"M"),
    "directory dump": header(b"a", b"D"),
    "socket of star": header(b"a", b"\xff"),
}
EXTENDED = {
    "no length": raw_pax(b"path=a\n"),
    "length too long": raw_pax(b"99 path=a\n"),
    "length too short": raw_pax(b"5 path=a\n"),
    "length of zero": raw_pax(b"0 path=a\n"),
    "negative length": raw_pax(b"-9 path=a\n"),
    "huge length": raw_pax(b"99999999999999999999 path=a\n"),
    "no equals sign": raw_pax(b"8 patha\n"),
    "no key": raw_pax(b"5 =a\n"),
    "no line feed": raw_pax(b"9 path=ab"),
    "zeros in front": raw_pax(b"\0\0" + record(b"path", b"a")),
    "more than a megabyte": header(b"pax", b"x", size=(1 << 20) + 1) + bytes(1 << 20),
    "long name of a gigabyte": header(b"l", b"L", size=1 << 30),
    "global header of a gigabyte": header(b"g", b"g", size=1 << 30),
    "without a member": pax((b"path", b"a")),
    "without a member before the end": pax((b"path", b"a")) + bytes(512),
    "size that is no number": pax((b"size", b"-5")) + file(b"a"),
    "size with an exponent": pax((b"size", b"1e3")) + file(b"a"),
    "size that is too large": pax((b"size", b"9" * 20)) + file(b"a"),
    "time that is no number": pax((b"mtime", b"now")) + file(b"a"),
    "time of a thousand digits": pax((b"mtime", b"9" * 1000)) + file(b"a"),
    "attribute without a name": xattrs((b"", b"a")) + file(b"a"),
    "attribute with a name of 256 bytes": xattrs((b"user." + b"a" * 251, b"")) + file(b"a"),
    "attribute with a zero byte": xattrs((b"user.a\0b", b"")) + file(b"a"),
    "attribute of more than 64 KiB": xattrs((b"user.a", b"a" * 65537)) + file(b"a"),
}
SPARSE = {
    "beyond its size": sparse(b"95,10"),
    "overlapping": sparse(b"0,6,4,4"),
    "backwards": sparse(b"50,5,0,5"),
    "odd": sparse(b"0,5,50"),
    "negative": sparse(b"0,-10"),
    "more data than there is": sparse(b"0,20"),
    "less data than there is": sparse(b"0,5"),
    "no size": pax((b"GNU.sparse.map", b"0,1")) + file(b"s", b"x"),
    "petabytes of holes": sparse(b"0,10", b"9" * 15),
    "nothing but petabytes of holes": pax(
        (b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"9" * 15)
    )
    + file(b"s"),
    "map that ends early": leading_map(b"2\n0\n5\n"),
    "map of a billion": leading_map(b"1000000000\n"),
    "map without numbers": leading_map(b"x" * 2000),
    "old, beyond its size": header(
        b"s",
        b"S",
        magic=b"ustar  \0",
        size=8,
        fields={386: b"%011o\0%011o\0" % (8, 8), 483: b"%011o\0" % 4},
    )
    + padded(b"12345678"),
    "old, continued for ever": header(
        b"s", b"S", magic=b"ustar  \0", fields={386: b"%011o\0%011o\0" % (0, 0), 482: b"\1"}
    )
    + (b"%011o\0%011o\0" % (0, 0) * 21 + b"\1" + bytes(7)) * 13000,
}
ENDS = {
    "in a header": file(b"a")[:300],
    "in contents": file(b"a", b"x" * 2000)[:1024],
    "before contents": header(b"a", size=5),
    "in an extended header": pax((b"path", b"a" * 600))[:600],
    "with a block of zeros in the middle": file(b"a") + bytes(512) + file(b"b"),
    "an exabyte announced": header(b"a", fields={124: b"\x80" + bytes(3) + b"\x0f" + bytes(7)}),
}
BOMBS = {
    "entries": b"".join(file(b"%d" % number) for number in range(201)),
    "headers without members": b"".join(pax((b"comment", b"x")) for _ in range(201)),
    "names": b"".join(long(b"%04d/" % n + b"a/" * 1900) + file(b"a") for n in range(20)),
    "attributes": b"".join(
        xattrs((b"user.a", bytes([n]) * 60_000)) + file(b"%d" % n) for n in range(2)
    ),
    "zeros": bytes(5 << 20),
    "zeros behind the end": END + bytes(5 << 20),
    "a large file": file(b"a", bytes(5 << 20)),
}
REFUSED = {
    f"{sort}: {name}": archive
    for sort, cases in {
        "name": NAMES,
        "link": LINKS,
        "whiteout": WHITEOUTS,
        "header": HEADERS,
        "extended header": EXTENDED,
        "sparse file": SPARSE,
        "end": ENDS,
        "bomb": BOMBS,
    }.items()
    for name, archive in cases.items()
}
GOOD = file(b"a", b"contents") + END


def is_refused(tmp_path: Path, layers: list[StoredLayer], limits: FlattenLimits) -> BangerError:
    """The error; nothing is beside the blobs afterwards, neither is anything started or kept."""
    output = tmp_path / "staging"
    output.mkdir()
    before = sorted(tmp_path.rglob("*"))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(BangerError) as raised:
        flatten(layers, output / "rootfs.squashfs", limits)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 400
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_layer_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    archive = REFUSED[name] + (b"" if name.startswith(("end", "extended header: without")) else END)
    layers = [*stored(tmp_path, [LOWER]), store(tmp_path, compressed(archive, "gzip"), archive)]
    error = is_refused(tmp_path, layers, LIMITS)
    assert error.code in (Code.INVALID, Code.TOO_LARGE)


def frame(content: bytes) -> bytes:
    return compressed(content, "zstd")


BLOBS: dict[str, Callable[[], bytes]] = {
    "gzip that ends in its header": lambda: gzip.compress(GOOD)[:8],
    "gzip that ends in its data": lambda: gzip.compress(GOOD)[:-20],
    "gzip that ends in its checksum": lambda: gzip.compress(GOOD)[:-3],
    "gzip with a wrong checksum": lambda: gzip.compress(GOOD)[:-8] + b"\0\0\0\0" + GOOD[:4],
    "gzip with wrong data": lambda: gzip.compress(os.urandom(0) + GOOD)[:12] + b"\xff" * 40,
    "gzip with something behind it": lambda: gzip.compress(GOOD) + b"something",
    "gzip whose second member is cut off": lambda: gzip.compress(GOOD) + gzip.compress(END)[:-9],
    "gzip with an unknown method": lambda: b"\x1f\x8b\x07" + gzip.compress(GOOD)[3:],
    "zstd that ends in its header": lambda: frame(GOOD)[:5],
    "zstd that ends in its data": lambda: frame(GOOD)[:-10],
    "zstd with a wrong checksum": lambda: frame(GOOD)[:-4] + b"\1\2\3\4",
    "zstd with something behind it": lambda: frame(GOOD) + b"something",
    "zstd with a window of 2 GiB": lambda: frame(GOOD)[:4] + b"\x00\xa8" + bytes(40),
    "nothing at all": lambda: b"",
    "another archive": lambda: gzip.compress(file(b"b") + END),
    "the right archive and more": lambda: gzip.compress(GOOD + END),
    "the archive where its blob should be": lambda: b"BZh9" + GOOD,
}


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_that_is_not_the_announced_one_is_refused(name: str, tmp_path: Path) -> None:
    layer = store(tmp_path, BLOBS[name](), GOOD)
    error = is_refused(tmp_path, [*stored(tmp_path, [LOWER]), layer], LIMITS)
    assert error.code is Code.INVALID


@pytest.mark.parametrize(
    "diff_id",
    ["sha256:", "sha512:" + "0" * 128, "sha256:" + "0" * 64, hashlib.sha256(GOOD).hexdigest()],
)
def test_a_sum_that_is_not_the_archives_is_refused(diff_id: str, tmp_path: Path) -> None:
    layer = StoredLayer(store(tmp_path, GOOD).path, diff_id)
    assert is_refused(tmp_path, [layer], LIMITS).code is Code.INVALID


def test_a_bomb_costs_no_more_than_its_limit(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte of gzip is given up after four."""
    bomb = gzip.compress(bytes(64 << 20), 9)
    told = store(tmp_path, bomb * 16, b"x")
    seen = []
    with pytest.raises(BangerError) as raised:
        flatten([told], tmp_path / "o", LIMITS, lambda stage, done, total: seen.append(done))
    assert raised.value.code is Code.TOO_LARGE
    assert max(seen, default=0) < 1 << 20


def test_owners_of_many_ids_are_refused(tmp_path: Path) -> None:
    many = b"".join(file(b"%d" % n, uid=2 * n, gid=2 * n + 1) for n in range(32_769)) + END
    error = is_refused(tmp_path, [store(tmp_path, many)], FlattenLimits())
    assert error.code is Code.TOO_LARGE


def test_there_are_enough_of_them() -> None:
    assert len(REFUSED) + len(BLOBS) >= 80
