"""Finds a VMM by its command line, when its handle and the copy are damaged.

Reading the list of all processes takes some milliseconds. So it is done only when no handle can be
read and no supervisor has the VM.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.host.process import ProcessId, start_time
from shared.vm import jail
from shared.vmm.info import DriverInfo, LaunchTraces
from shared.vmm.registry import VMMS


@dataclass(frozen=True)
class FoundVmm:
    """The VMM of one VM, and what its command line tells of its launch."""

    process: ProcessId
    info: DriverInfo
    traces: LaunchTraces


def find_vmm(vm_id: str) -> FoundVmm | None:
    """The VM's VMM among this user's processes and those of jails, or None."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _examine(int(entry.name), vm_id)):
            return found
    return None


def _examine(pid: int, vm_id: str) -> FoundVmm | None:
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        argv = command_line(pid) if uid == os.geteuid() or uid in jail.SPAN else []
    except OSError:
        return None  # it ended this moment
    info = next((info for info in VMMS if info.recognises(argv, vm_id)), None)
    born = start_time(pid) if info else None
    if info is None or born is None:
        return None
    return FoundVmm(ProcessId(pid, born), info, info.traces(argv))


def command_line(pid: int) -> list[str]:
    """The words of a process (proc_pid_cmdline(5))."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return words.removesuffix("\0").split("\0")
