import subprocess
from pathlib import Path

import pytest

from services.images.jobs.capture import run
from services.images.jobs.requests import CaptureJob
from shared.errors import BangerError, Code
from shared.vm import files
from tests.unit.services.images.capture.disks import make_disk, upper_tree
from tests.unit.services.images.jobs.builds import JOB


@pytest.fixture
def job(tmp_path: Path) -> CaptureJob:
    state, output = tmp_path / "vm", tmp_path / "output"
    state.mkdir()
    output.mkdir()
    upper = upper_tree(tmp_path / "overlay")
    (upper / "opt").mkdir()
    (upper / "opt/tool").write_text("tool")
    upper.chmod(0o711)
    make_disk(state / files.OVERLAY, tmp_path / "overlay")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/.profile").write_text("mine")
    make_disk(state / files.WORK_DISK, tmp_path / "work")
    return CaptureJob(vm_state=str(state), output=str(output))


def listing(squashfs: Path) -> str:
    argv = ["unsquashfs", "-lln", str(squashfs)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_the_layer_is_a_squashfs(job: CaptureJob) -> None:
    run(job, JOB)
    output = Path(job.output)
    assert [each.name for each in output.iterdir()] == ["rootfs.squashfs"]
    lines = listing(output / "rootfs.squashfs").splitlines()
    assert lines[0].startswith("drwx--x--x 0/0")
    assert [line.rpartition("squashfs-root")[2] for line in lines] == [
        "", "/etc", "/opt", "/opt/tool",
    ]  # fmt: skip


def test_the_work_seed_is_what_is_on_the_work_disk(job: CaptureJob) -> None:
    job.work_seed = True
    run(job, JOB)
    tar = ["tar", "--zstd", "-tf", str(Path(job.output) / "seed.tar.zst")]
    found = subprocess.run(tar, check=True, capture_output=True, text=True).stdout
    assert found == ".profile\n"


def test_a_vm_that_has_no_disks_yet_is_told(job: CaptureJob) -> None:
    (Path(job.vm_state) / files.OVERLAY).unlink()
    with pytest.raises(BangerError, match="has never run") as caught:
        run(job, JOB)
    assert caught.value.code is Code.NOT_FOUND


def test_of_a_disk_that_is_damaged_nothing_is_left(job: CaptureJob) -> None:
    disk = Path(job.vm_state) / files.OVERLAY
    content = bytearray(disk.read_bytes())
    content[8192:2_000_000] = bytes(2_000_000 - 8192)  # the inodes
    disk.write_bytes(content)
    with pytest.raises(BangerError):
        run(job, JOB)
    assert list(Path(job.output).iterdir()) == []
