"""Pipes that hold more than 64 KiB, so that both ends are woken less often."""

import contextlib
import fcntl


def widen(descriptor: int, size: int) -> None:
    """Let a pipe hold ``size`` bytes, if the kernel allows it: pipe(7) limits them by user."""
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)
