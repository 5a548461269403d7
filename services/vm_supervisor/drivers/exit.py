"""Why a VMM ended, told from what was seen of its guest, its exit, and the last lines of its logs.

Pure but for reading the logs.
"""

from pathlib import Path

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from shared.errors import BangerError, Code
from shared.vm import files

_TAIL_BYTES = 16384
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
    last = vmm_log.strip().splitlines()
    return VmmExit(ExitReason.CRASHED, last[-1] if last else f"the VMM exited with {exit_code}")


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
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_line_with(text: str, sign: str) -> str:
    """The last line that holds ``sign``, or ""."""
    return next((line.strip() for line in reversed(text.splitlines()) if sign in line), "")
