"""Control groups: what is found on which host, and a real group where this one has cgroup v2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.host import cgroup
from shared.host.cgroup import CONTROLLERS, MIB, Limits, confine, release, support

GROUP = f"unit-test-{os.getpid()}"


def hierarchy(root: Path, *groups: str, controllers: str = "cpu memory pids") -> str:
    """Directories that look like cgroup v2; returns the line of /proc/self/mounts."""
    for group in ("", *groups):
        directory = root / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").touch()
        (directory / "cgroup.controllers").write_text(controllers)
    return f"cgroup2 {root} cgroup2 rw,relatime 0 0\n"


def test_a_host_without_cgroup_v2_says_so() -> None:
    found = support("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n", "1:cpu:/\n0::/\n")
    assert found.base is None
    assert found.missing == CONTROLLERS
    assert "cgroup v2" in found.reason


def test_the_highest_group_that_may_be_written_to_is_the_base(tmp_path: Path) -> None:
    mounts = hierarchy(tmp_path, "user.slice", "user.slice/app.scope")
    found = support(mounts, "0::/user.slice/app.scope\n")
    assert found.base == tmp_path
    assert found.missing == ()


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    mounts = hierarchy(tmp_path, controllers="memory pids")
    found = support(mounts, "4:memory:/x\n0::/\n")
    assert found.missing == ("cpu",)
    assert "cpu" in found.reason


def test_limits_leave_room_for_the_vmm_itself() -> None:
    settings = Limits(vcpu=2, memory_mib=1024).settings()
    assert settings["cpu.max"] == "300000 100000"
    assert int(settings["memory.max"]) > 1024 * MIB + 512 * MIB


@pytest.mark.skipif(support().base is None, reason=support().reason)
def test_a_process_is_put_into_its_group_and_the_group_goes_with_it() -> None:
    base = support().base
    assert base
    group = base / "banger" / str(os.geteuid()) / GROUP
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        confine(GROUP, process.pid, Limits(vcpu=1, memory_mib=128))
        assert (group / "cgroup.procs").read_text().split() == [str(process.pid)]
        process.communicate(b"\n")
    release(GROUP)
    assert not group.exists()


@pytest.mark.skipif(support().base is None, reason=support().reason)
def test_a_group_is_kept_while_somebody_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "LEAVING_SECONDS", 0.05)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        confine(GROUP, process.pid, Limits(vcpu=1, memory_mib=128))
        assert not release(GROUP)
        process.communicate(b"\n")
    assert release(GROUP)
    assert release(GROUP)  # it is not there


@pytest.mark.skipif(support().base is None, reason=support().reason)
def test_a_group_goes_as_soon_as_the_last_one_has_left_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that ends with much memory is without a command line long before it has left."""
    monkeypatch.setattr(cgroup, "LEAVING_SECONDS", 20.0)
    script = "m = bytearray(256 << 20); print(flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        confine(GROUP, process.pid, Limits(vcpu=1, memory_mib=128))
        process.kill()
        while Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass
        assert release(GROUP)


@pytest.mark.skipif(support().base is None, reason=support().reason)
def test_group_of_another_process_or_owner_is_left_alone() -> None:
    def waiting() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    base, owner = support().base, os.geteuid() + 1
    assert base
    with waiting() as one, waiting() as other:
        assert "other processes" not in confine(GROUP, one.pid, Limits(1, 128))
        assert "has other processes" in confine(GROUP, other.pid, Limits(9, 4096))
        assert "other processes" not in confine(GROUP, other.pid, Limits(1, 128), owner)
        theirs = base / "banger" / str(owner) / GROUP
        assert (theirs / "cgroup.procs").read_text().split() == [str(other.pid)]
        for process in (one, other):
            process.communicate(b"\n")
    assert release(GROUP)
    assert theirs.exists()
    assert release(GROUP, owner)
    assert not theirs.exists()
