"""Why a VMM ended, told from what was seen of its guest, its exit, and the last lines of its logs.

Pure but for reading the logs. Their lines are a guest's, or a VMM's that a guest may have taken
over: what is told of them is short and printable.
"""

from pathlib import Path

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from shared.errors import BangerError, Code
from shared.host.files import read_tail
from shared.plain_text import printable
from shared.vm import files

_TAIL_BYTES = 16384
LINE_MAX = 200
"""Characters that are told of a line of a log."""
_SEEN = {
    ExitReason.POWEROFF: "the guest powered off",
    ExitReason.REBOOT: "the guest rebooted",
    ExitReason.PANIC: "the guest's kernel panicked",
    ExitReason.KILLED: "the VMM was told to end",
    ExitReason.CRASHED: "the VMM failed",
    ExitReason.UNKNOWN: "the VMM ended for a reason that is not known here",
}


def conclude(seen: ExitReason | None, exit_code: int | None, console: str, vmm_log: str) -> VmmExit:
    """The end of a VMM, and one line about it.

    ``seen``: what its driver saw before the process was gone, if anything; ``exit_code``: negative
    for a signal, None for a process that was not a child of this one.
    """
    panic = last_line_with(console, "Kernel panic")
    if panic:  # the guest resets itself after a panic
        return VmmExit(ExitReason.PANIC, panic)
    if seen is not None:
        return VmmExit(seen, last_line_with(console, "banger-init: error:") or _SEEN[seen])
    if exit_code is None:
        return VmmExit(ExitReason.UNKNOWN, "the VMM ended while nobody was watching")
    if exit_code == 0:  # as when a guest resets itself in its first moments
        detail = "the VMM ended by itself, and its console does not say why"
        return VmmExit(ExitReason.UNKNOWN, detail)
    if exit_code < 0:
        return VmmExit(ExitReason.KILLED, f"the VMM was killed by signal {-exit_code}")
    last = last_line_with(vmm_log, "")
    return VmmExit(ExitReason.CRASHED, last or f"the VMM exited with {exit_code}")


def guest_failed(end: VmmExit, state: Path, kind: type[BangerError] = BangerError) -> BangerError:
    """The error for a VM whose VMM ended before its agent answered."""
    log = files.VMM_LOG if end.reason is ExitReason.CRASHED else files.CONSOLE_LOG
    return kind(
        Code.GUEST_FAILED,
        f"the guest did not start: {end.detail}",
        hint=f"see {state / log}",
        details={"reason": end.reason.value},
    )


def tail(path: Path, start: int = 0) -> str:
    """The end of a log, at most 16 KiB, nothing before offset ``start``; "" without one."""
    return read_tail(path, _TAIL_BYTES, start)


def last_line_with(text: str, sign: str) -> str:
    """The last line that holds ``sign`` and is not blank, fit to be printed and cut; or ""."""
    lines = (line.strip() for line in reversed(text.splitlines()) if sign in line)
    return printable(next(filter(None, lines), ""), LINE_MAX)
