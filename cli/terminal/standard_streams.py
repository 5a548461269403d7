"""stdin, stdout and stderr, which the rest of the program takes for open."""

import os
import sys

MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_missing() -> None:
    """Open /dev/null for each standard stream that is closed, as after ``<&-`` in a shell.

    Otherwise the next file or socket gets its number, and a child process reads from it or writes
    to it. Python sets such a stream to None in ``sys``. What is written to a closed stdout is not
    lost without a word: a write fails with EBADF, as it would have.
    """
    for fd, (name, mode) in enumerate(MODES.items()):
        try:
            os.fstat(fd)
        except OSError:
            access = os.O_RDONLY if name == "stdout" else os.O_RDWR
            os.open(os.devnull, access)  # the lowest free number, which is this one
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115
