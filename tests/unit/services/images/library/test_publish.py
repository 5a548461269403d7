from pathlib import Path

import msgspec
import pytest

from services.images.library import manifest as manifests
from services.images.library.describe import describe_image
from services.images.library.manifest import ImageManifest
from services.images.library.publish import point, publish
from services.images.library.scratch import scratch
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code

from .shelf import add, put


def test_a_published_directory_has_its_id_readable_files_and_a_name(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", "debian")
    directory = tmp_path / entry.id
    assert {path.name for path in directory.iterdir()} == {"manifest.json", "rootfs.squashfs"}
    assert directory.stat().st_mode & 0o777 == 0o755
    assert (directory / "rootfs.squashfs").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "by-name" / "debian").readlink() == Path("..") / entry.id


def test_nothing_but_the_directory_and_the_name_is_left(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    assert {path.name for path in tmp_path.iterdir()} == {entry.id, "by-name"}
    assert {path.name for path in (tmp_path / "by-name").iterdir()} == {"debian"}


def test_work_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    with scratch(tmp_path) as work:
        put(work, b"content")
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_again_keeps_the_first_and_may_get_another_name(tmp_path: Path) -> None:
    first = add(tmp_path, b"content", "one")
    inode = (tmp_path / first.id).stat().st_ino
    second = add(tmp_path, b"content", "two")
    assert second.id == first.id
    assert (tmp_path / first.id).stat().st_ino == inode
    assert {link.name for link in (tmp_path / "by-name").iterdir()} == {"one", "two"}


def test_a_damaged_directory_is_replaced_by_a_good_one(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    (tmp_path / entry.id / "rootfs.squashfs").write_bytes(b"")
    add(tmp_path, b"content")
    assert manifests.read(tmp_path / entry.id, ImageManifest) == entry
    assert (tmp_path / entry.id / "rootfs.squashfs").read_bytes() == b"content"


def test_a_new_build_takes_the_name_and_leaves_the_old_directory_to_its_users(
    tmp_path: Path,
) -> None:
    old = add(tmp_path, b"monday")
    new = add(tmp_path, b"tuesday")
    assert (tmp_path / "by-name" / "debian").resolve() == tmp_path / new.id
    assert manifests.read(tmp_path / old.id, ImageManifest) == old


def test_a_link_left_half_made_by_a_crash_does_not_block_the_name(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content")
    (tmp_path / "by-name" / ".banger-new-debian").symlink_to("nowhere")
    point(tmp_path, "debian", entry.id)
    assert {link.name for link in (tmp_path / "by-name").iterdir()} == {"debian"}


def test_a_file_that_the_manifest_does_not_know_is_a_bug_and_is_not_published(
    tmp_path: Path,
) -> None:
    with scratch(tmp_path) as work:
        manifest = put(work, b"content")
        (work.path / "leftover").touch()
        with pytest.raises(BangerError, match="leftover") as raised:
            publish(work, manifest)
    assert raised.value.code is Code.INTERNAL
    assert list(tmp_path.iterdir()) == []


def test_another_content_of_the_same_id_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    first = add(tmp_path, b"content", "first")
    with scratch(tmp_path) as work:
        other = put(work, b"changed", "other")
        forged = msgspec.structs.replace(
            other, id=first.id, rootfs=msgspec.structs.replace(other.rootfs, sha256=_like(first))
        )
        with pytest.raises(BangerError, match="has the same id") as raised:
            publish(work, forged)
    assert raised.value.code is Code.CONFLICT
    assert (tmp_path / first.id / "rootfs.squashfs").read_bytes() == b"content"
    assert {link.name for link in (tmp_path / "by-name").iterdir()} == {"first"}


def _like(entry: ImageManifest) -> str:
    """A sum that begins as the entry's, as if somebody had found content for it."""
    return entry.id + "0" * 48


def test_without_a_name_only_the_id_is_there(tmp_path: Path) -> None:
    entry = add(tmp_path, b"content", "")
    assert {path.name for path in tmp_path.iterdir()} == {entry.id}


def test_a_name_with_slashes_and_a_tag_has_one_link(tmp_path: Path) -> None:
    add(tmp_path, b"content", "registry:5000/team/web:2")
    assert [link.name for link in (tmp_path / "by-name").iterdir()] == [
        "registry:5000%2Fteam%2Fweb:2"
    ]


def test_a_registered_file_keeps_its_mode(tmp_path: Path) -> None:
    outside = tmp_path / "disk.img"
    outside.write_bytes(b"content")
    outside.chmod(0o600)
    with scratch(tmp_path / "images") as work:
        (work.path / "rootfs.squashfs").symlink_to(outside)
        publish(work, describe_image(work.path, "mine", "registered", external=outside))
    assert outside.stat().st_mode & 0o777 == 0o600


def test_a_config_that_no_command_could_be_made_of_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as refused:
        add(tmp_path, b"content", config=ImageConfig(cmd=["a\0b"]))
    assert refused.value.code is Code.INVALID
    assert list(tmp_path.iterdir()) == []
