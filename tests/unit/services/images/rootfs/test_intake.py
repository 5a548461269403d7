"""Files of users as root filesystems."""

import shutil
import subprocess
from pathlib import Path

import pytest

from services.images.rootfs.intake import TakenRootfs, pack_seed, take_rootfs
from shared.errors import BangerError, Code
from tests.unit.services.images.rootfs.disks import ext4, qcow2, squashfs, tar_of, with_mbr


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work,1").mkdir()
    return tmp_path / "work,1"


def quiet(*_: object) -> None: ...


def files_in(image: Path) -> str:
    return subprocess.run(["unsquashfs", "-ls", image], capture_output=True, text=True).stdout


def test_a_filesystem_stays_where_it_is(tmp_path: Path, work: Path) -> None:
    mine = squashfs(tmp_path / "mine.img")
    assert take_rootfs(mine, work, quiet).external == mine
    assert (work / "rootfs.squashfs").readlink() == mine
    other = ext4(tmp_path / "other.img")
    assert take_rootfs(other, work, quiet).external == other
    assert (work / "rootfs.ext4").readlink() == other


@pytest.mark.parametrize("program", [None, "zstd", "gzip"])
def test_a_tar_is_packed(tmp_path: Path, work: Path, program: str | None) -> None:
    tar = tar_of(tmp_path / "root.tar", {"etc/hostname": b"mine", "bin/sh": b"#!"})
    if program:
        content = subprocess.run([program, "-c", tar], capture_output=True, check=True).stdout
        tar.write_bytes(content)
    assert take_rootfs(tar, work, quiet) == TakenRootfs()
    assert "squashfs-root/etc/hostname" in files_in(work / "rootfs.squashfs")
    assert [path.name for path in work.iterdir()] == ["rootfs.squashfs"]


@pytest.mark.parametrize("name", ["/../../etc/x", "a/../../x"])
def test_a_tar_that_leads_outside_is_refused_and_leaves_nothing(
    tmp_path: Path, work: Path, name: str
) -> None:
    with pytest.raises(BangerError) as raised:
        take_rootfs(tar_of(tmp_path / "root.tar", {name: b"x"}), work, quiet)
    assert raised.value.code is Code.INVALID
    assert list(work.iterdir()) == []


def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path, work: Path) -> None:
    tar = tar_of(tmp_path / "root.tar", {"x": b"x" * 5000})
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(BangerError) as raised:
        take_rootfs(tar, work, quiet)
    assert raised.value.code is Code.INVALID
    assert list(work.iterdir()) == []


qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")


@qemu_img
@pytest.mark.parametrize("options", [(), ("-c",)])
def test_a_qcow2_file_is_copied_out(tmp_path: Path, work: Path, options: tuple[str, ...]) -> None:
    raw = ext4(tmp_path / "raw")
    assert take_rootfs(qcow2(tmp_path / "disk", raw, *options), work, quiet) == TakenRootfs()
    assert (work / "rootfs.ext4").read_bytes() == raw.read_bytes()
    assert [path.name for path in work.iterdir()] == ["rootfs.ext4"]


@qemu_img
def test_the_partition_of_a_qcow2_file_is_copied_out(tmp_path: Path, work: Path) -> None:
    content = ext4(tmp_path / "raw").read_bytes()
    disk = qcow2(tmp_path / "disk", with_mbr(tmp_path / "partitioned", content))
    take_rootfs(disk, work, quiet)
    assert (work / "rootfs.ext4").read_bytes() == content
    assert [path.name for path in work.iterdir()] == ["rootfs.ext4"]


@qemu_img
def test_a_qcow2_file_on_another_is_refused_before_anything_reads_it(
    tmp_path: Path, work: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)
    disk = tmp_path / "disk"
    on = ["-b", str(secret), "-F", "raw"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *on, disk], check=True)
    with pytest.raises(BangerError, match="needs another file"):
        take_rootfs(disk, work, quiet)
    assert list(work.iterdir()) == []


@qemu_img
def test_a_damaged_qcow2_file_is_refused(tmp_path: Path, work: Path) -> None:
    disk = qcow2(tmp_path / "disk", ext4(tmp_path / "raw"))
    disk.write_bytes(disk.read_bytes()[:66000])
    with pytest.raises(BangerError) as raised:
        take_rootfs(disk, work, quiet)
    assert raised.value.code is Code.INVALID


def test_a_work_seed_is_packed_as_roots(tmp_path: Path, work: Path) -> None:
    seed = tmp_path / "seed"
    (seed / ".config").mkdir(parents=True)
    (seed / ".config" / "x").write_text("x")
    (seed / "link").symlink_to("/etc/passwd")
    pack_seed(seed, work)
    listing = subprocess.run(
        ["tar", "--zstd", "-tvf", work / "seed.tar.zst"], capture_output=True, text=True
    ).stdout
    assert "0/0" in listing
    assert "./.config/x" in listing
    assert "./link -> /etc/passwd" in listing
    with pytest.raises(BangerError, match="not a directory"):
        pack_seed(tmp_path / "missing", work)
