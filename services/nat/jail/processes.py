"""The processes of a jail, in each of its stages: helper, jailer, Firecracker.

All three have ``--id banger-<id>`` in their command line. The first two belong to root and have the
directory of the user's jails there too, because root has other processes, among them VMs of its
own. Their program is one of those that nat runs, because a user can have root run others, such as
sudo, with any words. The third has the jail's uid, which no other process has. So nothing has to be
recorded.
"""

import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.host.cgroup import TOP
from shared.host.kernel_text import read_kernel_text
from shared.host.process import ProcessId, start_time
from shared.vmm.info import process_name

END_SECONDS = 5.0
"""How long a killed process may take. It takes milliseconds unless the kernel has a problem."""


@dataclass(frozen=True)
class JailedProcesses:
    """The processes in the jail of one VM. ``base``: the directory of all jails of the user.
    ``programs``: paths of the helper's interpreter and of the jailer, without links."""

    vm_id: str
    uid: int
    base: Path
    programs: frozenset[str]

    def __iter__(self) -> Iterator[ProcessId]:
        """The processes that run now."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._has(int(entry.name)):
                born = start_time(int(entry.name))
                if born is not None:
                    yield ProcessId(int(entry.name), born)

    def _has(self, pid: int) -> bool:
        try:
            owner = Path(f"/proc/{pid}").stat().st_uid
            words = Path(f"/proc/{pid}/cmdline").read_bytes() if owner in (0, self.uid) else b""
        except OSError:
            return False  # the process has just ended
        return _has_option(words, "--id", process_name(self.vm_id)) and (
            owner == self.uid
            or (
                _has_option(words, "--chroot-base-dir", str(self.base))
                and self._is_ours(pid)
                and _is_in_group(pid, self.base.name, self.vm_id)
            )
        )

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(Path(f"/proc/{pid}/exe").readlink()) in self.programs
        except OSError:
            return False

    def send(self, signum: signal.Signals) -> bool:
        """Signal all of them; False when there was none."""
        sent = [self._send(process, signum) for process in self]
        for fd in sent:
            if fd is not None:
                os.close(fd)
        return any(fd is not None for fd in sent)

    def end(self) -> bool:
        """Kill all of them and wait; False when one still exists after ``END_SECONDS``."""
        killed = [self._send(process, signal.SIGKILL) for process in self]
        return all([_wait_for_end(fd) for fd in killed if fd is not None])  # noqa: C419 - all are closed

    def _send(self, process: ProcessId, signum: signal.Signals) -> int | None:
        """A pidfd of the signalled process, to wait with and to close; None when it has ended.

        The process is checked again once the descriptor is open: from then on its pid cannot belong
        to another process.
        """
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return None
        try:
            if start_time(process.pid) == process.start_time and self._has(process.pid):
                signal.pidfd_send_signal(fd, signum)
                return fd
        except ProcessLookupError:
            pass
        os.close(fd)
        return None


def _is_in_group(pid: int, owner: str, vm_id: str) -> bool:
    """Whether the process is in the control group of the VM, or in no VM's: a host may have none,
    and nat moves the helper there a moment after its start."""
    try:
        groups = read_kernel_text(f"/proc/{pid}/cgroup")
    except OSError:
        return False
    return f"/{TOP}/" not in groups or f"/{TOP}/{owner}/{vm_id}\n" in groups


def _has_option(words: bytes, option: str, value: str) -> bool:
    """Whether the command line has the option, in either form: the jailer uses the second one for
    Firecracker."""
    forms = (f"\0{option}\0{value}\0", f"\0{option}={value}\0")
    return any(form.encode() in words for form in forms)


def _wait_for_end(fd: int) -> bool:
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(END_SECONDS * 1000))
    finally:
        os.close(fd)
