"""stdin, stdout and stderr as the rest of the program may take them for granted: open."""

import os
import sys

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_missing() -> None:
    """Open /dev/null for each standard stream that whoever started us had closed.

    Else the next file or socket that is opened gets its number, and a program started by us reads
    from it or writes into it. Python itself leaves None in ``sys`` for such a stream.
    """
    for fd, (name, mode) in enumerate(MODES.items()):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115
