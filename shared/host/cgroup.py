"""A control group for every VMM, where the host allows it (cgroups v2).

The base is the highest group, from this process's own upwards, that this process may write to: the
root for root, the user's manager (user@UID.service, delegated by systemd) for other users. The
group ``banger/<uid>/<vm id>`` is made below it, with limits for the controllers that the base has.
uid is that of the VM's owner: a nat of root's has VMs of several users below one base. The
kernel's documentation is Documentation/admin-guide/cgroup-v2.rst. ``doctor`` says what is missing.
"""

import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.host.kernel_text import read_kernel_text

MIB = 1024 * 1024
CPU_PERIOD = 100_000
"""Microseconds, the kernel's default for cpu.max."""
SPARE_CPUS = 1
"""CPUs for a VMM's own threads (disks, network), added to its vCPUs."""
SPARE_MEMORY = 512 * MIB
"""Bytes added to the guest's memory for the VMM itself: translated code, page tables, buffers."""
MOST_TASKS = 512
LEAVING_SECONDS = 1.0
"""How long a killed VMM may take to give back its memory; a small one takes milliseconds."""
CONTROLLERS = ("cpu", "memory", "pids")
TOP = "banger"


@dataclass(frozen=True)
class Limits:
    """What one VMM may use."""

    vcpu: int
    memory_mib: int

    def settings(self) -> dict[str, str]:
        """File of the group → what is written to it."""
        memory = self.memory_mib * MIB
        return {
            "cpu.max": f"{(self.vcpu + SPARE_CPUS) * CPU_PERIOD} {CPU_PERIOD}",
            "memory.max": str(memory + memory // 8 + SPARE_MEMORY),
            "pids.max": str(MOST_TASKS),
        }


@dataclass(frozen=True)
class Support:
    """``base`` is None where no group can be made. Controllers in ``missing`` set no limits."""

    base: Path | None
    missing: tuple[str, ...]
    reason: str


def support(mounts: str | None = None, own: str | None = None) -> Support:
    """Read /proc/self/mounts and /proc/self/cgroup, or the given texts. Changes nothing."""
    mounts = read_kernel_text("/proc/self/mounts") if mounts is None else mounts
    own = read_kernel_text("/proc/self/cgroup") if own is None else own
    root = _mount_point(mounts)
    if root is None:
        return Support(None, CONTROLLERS, "the host has no cgroup v2")
    base = _highest_writable(root, _own_group(own))
    if base is None:
        return Support(None, CONTROLLERS, "this user may write to no cgroup")
    there = read_kernel_text(base / "cgroup.controllers").split()
    missing = tuple(name for name in CONTROLLERS if name not in there)
    reason = f"without {', '.join(missing)}" if missing else "all limits apply"
    return Support(base, missing, reason)


def _mount_point(mounts: str) -> Path | None:
    """Where cgroup v2 is mounted. Lines are split at line breaks alone, which the kernel escapes in
    names; str.splitlines would split at other characters, too."""
    rows = (line.split(" ") for line in mounts.split("\n"))
    return next((Path(row[1]) for row in rows if len(row) == 6 and row[2] == "cgroup2"), None)


def _own_group(own: str) -> str:
    """The path in the line "0::/path" (cgroups(7)). The v1 hierarchies have other numbers."""
    return next((line[3:] for line in own.split("\n") if line.startswith("0::")), "/")


def _highest_writable(root: Path, own: str) -> Path | None:
    group, found = root / own.lstrip("/"), None
    for candidate in (group, *group.parents):
        if os.access(candidate / "cgroup.procs", os.W_OK) and os.access(candidate, os.W_OK):
            found = candidate
        if candidate == root:
            break
    return found


def confine(vm_id: str, pid: int, limits: Limits, owner: int | None = None) -> str:
    """Move the process into a group of its own. Returns what could not be limited, or "".
    ``owner``: the uid of the VM's owner; None for this process's.

    Nothing is raised: a VM runs without limits where the host does not allow them. A group that has
    other processes is left alone.
    """
    allowed = support()
    if allowed.base is None:
        return allowed.reason
    group = _group(allowed.base, vm_id, owner)
    try:
        for each in (group.parent.parent, group.parent, group):
            each.mkdir(exist_ok=True)
            _enable(each.parent)
        others = {*(group / "cgroup.procs").read_text().split()} - {str(pid)}
        if others:
            return f"{group} has other processes: {', '.join(sorted(others))}"
        missing = [
            name for name, value in limits.settings().items() if not _set(group, name, value)
        ]
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        return f"{group}: {error.strerror}"
    return f"cannot set {', '.join(missing)}" if missing else ""


def _group(base: Path, vm_id: str, owner: int | None) -> Path:
    return base / TOP / str(os.geteuid() if owner is None else owner) / vm_id


def _enable(group: Path) -> None:
    """One by one: a controller that is missing does not affect the others."""
    for controller in CONTROLLERS:
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _set(group: Path, name: str, value: str) -> bool:
    try:
        (group / name).write_text(value)
    except OSError:
        return False
    return True


def release(vm_id: str, owner: int | None = None) -> bool:
    """Remove the group of a VMM that has ended. False when there is still a process in it.
    ``owner``: as for ``confine``.

    A process that ends loses its command line before it leaves its group, so a search by command
    line misses it. This waits until the group is empty, at most ``LEAVING_SECONDS``.
    """
    allowed = support()
    if allowed.base is None:
        return True
    group = _group(allowed.base, vm_id, owner)
    with suppress(FileNotFoundError):
        _await_empty(group)
    unmarked = allowed.base / TOP / vm_id  # that of an earlier build, which did not name the owner
    for each in (group, unmarked, group.parent, group.parent.parent):
        with suppress(OSError):  # not empty: other VMs have groups in it
            each.rmdir()
    return not group.exists()


def _await_empty(group: Path) -> None:
    """Poll cgroup.events: the kernel signals a change of "populated"."""
    limit = time.monotonic() + LEAVING_SECONDS
    with (group / "cgroup.events").open() as events:
        changed = select.poll()
        changed.register(events, select.POLLPRI)
        while "populated 1" in events.read() and (left := limit - time.monotonic()) > 0:
            changed.poll(left * 1000)
            events.seek(0)
