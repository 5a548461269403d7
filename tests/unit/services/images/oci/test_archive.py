"""Archives of docker save, honest and hostile."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from services.images.oci.archive import read_archive
from services.images.oci.image_config import Pulled
from shared.errors import BangerError, Code
from tests.oci.container_images import digest_of, layer

ONE, TWO = layer({"a": b"1"}), layer({"b": b"2"})
Members = list[tuple[str, bytes | str | None, bytes]]
"""Name, content (or target of a link), type of tarfile."""


def config(*layers: bytes) -> bytes:
    return json.dumps({"rootfs": {"diff_ids": [digest_of(each) for each in layers]}}).encode()


def manifest(*images: dict[str, Any]) -> tuple[str, bytes, bytes]:
    return ("manifest.json", json.dumps(images).encode(), tarfile.REGTYPE)


def image(
    layers: list[str], tags: list[str] | None = None, config: str = "c.json"
) -> dict[str, Any]:
    return {"Config": config, "Layers": layers, "RepoTags": tags}


def file(name: str, content: bytes) -> tuple[str, bytes, bytes]:
    return (name, content, tarfile.REGTYPE)


SAVED: Members = [
    file("c.json", config(ONE, TWO)),
    file("1/layer.tar", ONE),
    file("2/layer.tar", TWO),
    manifest(image(["1/layer.tar", "2/layer.tar"], ["app:1", "r.example/app:2"])),
]


def archive(tmp_path: Path, members: Members) -> Path:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as written:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(content, str):
                member.linkname = content
            data = content if isinstance(content, bytes) else b""
            member.size = len(data)
            written.addfile(member, io.BytesIO(data))
    path = tmp_path / "saved.tar"
    path.write_bytes(output.getvalue())
    return path


def read(tmp_path: Path, members: Members, name: str = "") -> Pulled:
    return read_file(tmp_path, archive(tmp_path, members), name)


def read_file(tmp_path: Path, path: Path, name: str = "") -> Pulled:
    directory = tmp_path / "staging"
    directory.mkdir()
    return read_archive(path, name, directory, lambda _: None)


def contents(found: Pulled) -> list[bytes]:
    return [each.path.read_bytes() for each in found.layers]


def test_layers_come_in_their_order(tmp_path: Path) -> None:
    found = read(tmp_path, SAVED)
    assert contents(found) == [ONE, TWO]
    assert [each.diff_id for each in found.layers] == [digest_of(ONE), digest_of(TWO)]
    assert found.name == "app:1"


@pytest.mark.parametrize("name", ["app:1", "docker.io/library/app:1", "r.example/app:2"])
def test_an_image_is_found_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    other = image(["2/layer.tar"], ["other:1"], "d.json")
    members = [*SAVED[:3], file("d.json", config(TWO))]
    both = manifest(other, image(["1/layer.tar", "2/layer.tar"], ["app:1", "r.example/app:2"]))
    assert contents(read(tmp_path, [*members, both], name)) == [ONE, TWO]


def test_one_of_several_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="2 images") as caught:
        read(tmp_path, [*SAVED[:3], manifest(image([], ["a:1"]), image([], ["b:1"]))])
    assert (caught.value.code, caught.value.hint) == (Code.AMBIGUOUS, "add :NAME; it has: a:1, b:1")


def test_a_name_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        read(tmp_path, SAVED, "app:3")
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.SYMTYPE, "../1/layer.tar"), (tarfile.LNKTYPE, "1/layer.tar")],
)
def test_a_link_within_the_archive_is_a_second_name(
    tmp_path: Path, kind: bytes, target: str
) -> None:
    members: Members = [
        file("c.json", config(ONE, ONE)),
        file("1/layer.tar", ONE),
        ("2/layer.tar", target, kind),
        manifest(image(["1/layer.tar", "2/layer.tar"])),
    ]
    assert contents(read(tmp_path, members)) == [ONE, ONE]


def test_an_archive_may_be_compressed(tmp_path: Path) -> None:
    path = archive(tmp_path, SAVED)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert contents(read_file(tmp_path, path)) == [ONE, TWO]


@pytest.mark.parametrize(
    "members",
    [
        [],
        [file("x", b"")],
        SAVED[:3],
        [*SAVED[:3], manifest()],
        [*SAVED[:3], file("manifest.json", b"{")],
        [*SAVED[:3], file("manifest.json", b"[" * 50_000)],
        [*SAVED[:3], file("manifest.json", b" " * (5 << 20))],
        [*SAVED[:3], manifest(image(["3/layer.tar"]))],
        [*SAVED[:3], manifest(image(["1/layer.tar"]))],
        [*SAVED[:3], manifest(image(["/etc/passwd", "/etc/passwd"]))],
        [*SAVED[:3], manifest(image(["../../../../etc/passwd", "2/layer.tar"]))],
        [*SAVED[:3], manifest(image(["1/layer.tar", "2/layer.tar"], config="/etc/passwd"))],
        [*SAVED[1:], file("c.json", b"{}")],
        [*SAVED[1:], ("c.json", "/etc/passwd", tarfile.SYMTYPE)],
        [*SAVED[1:], ("c.json", "../../etc/passwd", tarfile.SYMTYPE)],
        [*SAVED[1:], ("c.json", "c.json", tarfile.SYMTYPE)],
        [*SAVED[1:], ("c.json", "d", tarfile.SYMTYPE), ("d", "c.json", tarfile.SYMTYPE)],
        [("dev", None, tarfile.CHRTYPE), *SAVED],
        [("dev", None, tarfile.BLKTYPE), *SAVED],
        [("dev", None, tarfile.FIFOTYPE), *SAVED],
        [file("../escape", b"x"), *SAVED],
        [file("a/../../escape", b"x"), *SAVED],
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(
    tmp_path: Path, members: Members
) -> None:
    with pytest.raises(BangerError) as caught:
        read(tmp_path, members)
    assert caught.value.code is Code.INVALID
    assert {path.name for path in tmp_path.iterdir()} == {"saved.tar", "staging"}
    assert all(path.name.isdigit() for path in (tmp_path / "staging").iterdir())


@pytest.mark.parametrize("keep", [0, 100, 511, 512, 700, 1500, 5000])
@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_that_ends_too_early_is_refused(tmp_path: Path, keep: int, packed: bool) -> None:
    path = archive(tmp_path, SAVED)
    content = gzip.compress(path.read_bytes()) if packed else path.read_bytes()
    path.write_bytes(content[: min(keep, len(content) - 9)])
    with pytest.raises(BangerError) as caught:
        read_file(tmp_path, path)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    "content", [b"root:x:0:0:root:/root:/bin/bash\n" * 40, b"", b"\x7fELF" * 300]
)
def test_a_file_of_another_kind_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(BangerError, match="it is not an archive of docker save") as caught:
        read_archive(tmp_path / "file", "", tmp_path / "unpacked", lambda *_: None)
    assert caught.value.code is Code.INVALID
