"""A VMM found by its command line: the last resort when its handle and the copy are damaged.

The kernel's list of processes is the truth that handles are notes of. Reading it all takes some
milliseconds, so it is done only when the notes cannot be read and nobody supervises the VM.
"""

import os
import re
from pathlib import Path

from shared.contract.messages.vm import VmmName
from shared.host.process import ProcessId, start_time
from shared.vm import jail

_SSH_FORWARD = re.compile(rb"hostfwd=tcp:[\d.]+:(\d+)-:22(?=[,\0])")


def find_vmm(vm_id: str) -> ProcessId | None:
    """The process of ours, or of a jail, that was started as ``banger-<vm_id>``, or None."""
    # The jailer hands Firecracker the second form.
    marks = [f"\0{option}banger-{vm_id}\0".encode() for option in ("-name\0", "--id\0", "--id=")]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            uid = entry.stat().st_uid
            ours = (uid == os.geteuid() or uid in jail.SPAN) and _has(int(entry.name), marks)
        except OSError:
            continue  # it ended this moment
        born = start_time(int(entry.name)) if ours else None
        if born is not None:
            return ProcessId(int(entry.name), born)
    return None


def _has(pid: int, marks: list[bytes]) -> bool:
    words = command_line(pid)
    return any(mark in words for mark in marks)


def command_line(pid: int) -> bytes:
    """The words of a process, each with a NUL behind it (proc_pid_cmdline(5))."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def forwarded_ssh_port(words: bytes) -> int | None:
    """The host's port that a user-mode VMM forwards to the guest's sshd."""
    found = _SSH_FORWARD.search(words)
    return int(found[1]) if found else None


def vmm_name(words: bytes) -> VmmName:
    """Which VMM a command line is of."""
    return "firecracker" if b"\0--api-sock\0" in words else "qemu"


def accelerator(words: bytes) -> str:
    """What the command line names: kvm or tcg; Firecracker knows only the one."""
    kvm = vmm_name(words) == "firecracker" or b"\0-accel\0kvm\0" in words
    return "kvm" if kvm else "tcg"
