"""The first member of an archive: what it may say of images."""

from pathlib import Path

import msgspec
import pytest

from services.images.archive.contents import ArchiveHead, decode_head, encode_head, members_of
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code
from tests.unit.services.images.library.shelf import add


def test_a_head_is_read_back_and_lists_the_lowest_image_first(tmp_path: Path) -> None:
    base = add(tmp_path, b"base", "base")
    top = add(tmp_path, b"top", "top", base=base, config=ImageConfig(cmd=["x"]))
    head = decode_head(encode_head(ArchiveHead(format=1, images=[base, top])))
    assert head.images == [base, top]
    assert [member.name for member in members_of(head)] == [
        f"{base.id}/rootfs.squashfs",
        f"{top.id}/rootfs.squashfs",
    ]


def test_a_head_that_nobody_would_read_is_not_written(tmp_path: Path) -> None:
    config = ImageConfig(cmd=["x" * 60_000] * 100)
    image = add(tmp_path, b"top", "top", config=config)
    with pytest.raises(BangerError) as raised:
        encode_head(ArchiveHead(format=1, images=[image]))
    assert raised.value.code is Code.TOO_LARGE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "images": []}',
        b'{"format": 2, "images": []}',
        b'{"format": 1, "images": [], "more": 1}',
        b'{"format": 1, "images": [{}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_head_is_refused(content: bytes) -> None:
    with pytest.raises(BangerError) as raised:
        decode_head(content)
    assert raised.value.code is Code.INVALID


def changed(image: object, **fields: object) -> bytes:
    entry = msgspec.to_builtins(image)
    for key, value in fields.items():
        part = entry
        *path, last = key.split("__")
        for step in path:
            part = part[step]
        part[last] = value
    return msgspec.json.encode({"format": 1, "images": [entry]})


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "0123456789abcdef"},
        {"id": "../../../etc"},
        {"id": "\x1b[2J"},
        {"name": "../web"},
        {"name": ".banger-new-x"},
        {"name": "\x1b[31m"},
        {"name": "x" * 5000},
        {"arch": "aarch64"},
        {"external": "/etc/shadow"},
        {"base_digest": "sha256:" + "0" * 64},
        {"rootfs__sha256": "0" * 64},
        {"rootfs__file": "../rootfs.squashfs"},
        {"rootfs__file": "/etc/passwd"},
        {"rootfs__file": "manifest.json"},
        {"rootfs__file": ""},
        {"rootfs__format": "btrfs"},
        {"rootfs__size": -1},
        {"rootfs__size": "1"},
        {"rootfs__size": 2**70},
        {"config": {"cmd": ["x"] * 1001}},
        {"config": {"cmd": ["x" * 70_000]}},
        {"config": {"env": ["A=1"]}},
        {"kernel": "another"},
        {"seed": {"file": "rootfs.squashfs", "size": 1, "sha256": "0" * 64}},
        {"seed": {"file": "seed", "size": 1, "sha256": "0" * 64}},
    ],
    ids=str,
)
def test_an_image_that_is_not_what_it_says_is_refused(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    image = add(tmp_path, b"content", "web")
    with pytest.raises(BangerError) as raised:
        decode_head(changed(image, **fields))
    assert raised.value.code is Code.INVALID
    assert raised.value.message.isprintable()


def test_images_that_do_not_lie_on_each_other_are_refused(tmp_path: Path) -> None:
    base, other = add(tmp_path, b"base", "base"), add(tmp_path, b"other", "other")
    top = add(tmp_path, b"top", "top", base=base)
    for images in ([top], [other, top], [top, base], [base, base], [base, other]):
        with pytest.raises(BangerError) as raised:
            decode_head(encode_head(ArchiveHead(format=1, images=images)))
        assert raised.value.code is Code.INVALID
