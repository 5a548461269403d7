"""Why a VMM ended, told from its exit, QMP's reason, and the last lines of its logs. Pure but for
reading the logs."""

from pathlib import Path

from services.vm_supervisor.drivers.contract import End, EndReason, PortTaken
from shared.errors import BangerError, Code
from shared.vm import files

_TAIL_BYTES = 16384
_NO_FORWARD = "Could not set up host forwarding rule"
"""QEMU's words (net/slirp.c)."""

_REASONS = {
    "guest-shutdown": EndReason.POWEROFF,
    "guest-reset": EndReason.REBOOT,
    "guest-panic": EndReason.PANIC,
    "host-signal": EndReason.KILLED,
    "host-qmp-quit": EndReason.KILLED,
}
"""ShutdownCause of the QEMU QMP Reference Manual."""


def conclude(shutdown: str | None, exit_code: int | None, console: str, vmm_log: str) -> End:
    """``shutdown``: reason of the SHUTDOWN event, if it was seen; ``exit_code``: negative for a
    signal, None for a process that was not our child."""
    panic = last_line_with(console, "Kernel panic")
    if panic:  # the guest resets itself after a panic
        return End(EndReason.PANIC, panic)
    if shutdown is not None:
        reason = _REASONS.get(shutdown, EndReason.UNKNOWN)
        return End(reason, last_line_with(console, "banger-init: error:") or shutdown)
    if exit_code is None:
        return End(EndReason.UNKNOWN, "the VMM ended while nobody was watching")
    if exit_code == 0:  # a Firecracker whose guest resets itself in its first moments
        return End(EndReason.UNKNOWN, "the VMM ended by itself, and its console does not say why")
    if exit_code < 0:
        return End(EndReason.KILLED, f"the VMM was killed by signal {-exit_code}")
    last = vmm_log.strip().splitlines()
    return End(EndReason.CRASHED, last[-1] if last else f"the VMM exited with {exit_code}")


def guest_failed(end: End, state: Path) -> BangerError:
    """The error for a VM that ended before its agent answered."""
    log = files.VMM_LOG if end.reason is EndReason.CRASHED else files.CONSOLE_LOG
    kind = PortTaken if _NO_FORWARD in end.detail else BangerError
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
