"""Texts of the kernel: files below /proc and /sys.

They hold names that anybody on the host may choose: of processes, mount points, sockets. A name may
have any bytes, and need not be UTF-8. The kernel escapes line breaks in the names of mount points
(proc_pid_mounts(5)), but not in those of processes and Unix sockets: whoever parses a text takes
only lines, or fields counted from the end, that have the form they must have.
"""

import os
from pathlib import Path

from shared.plain_text import printable

LONGEST_NAME = 64
"""Characters kept of a process's name. The kernel keeps 15 bytes (TASK_COMM_LEN)."""


def read_kernel_text(path: str | os.PathLike[str]) -> str:
    """The whole file. Bytes that are no UTF-8 become lone surrogates (PEP 383), which compare equal
    to those of Python's own paths, and are never to be printed. Raises OSError."""
    return Path(path).read_bytes().decode(errors="surrogateescape")


def process_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third, the state, on (proc_pid_stat(5)).

    The second is the name in parentheses, which may hold spaces, parentheses and line breaks, so
    they are counted from the last parenthesis. Raises FileNotFoundError or ProcessLookupError when
    there is no such process.
    """
    return read_kernel_text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def read_process_name(pid: int) -> str:
    """The name that a process has given itself, for people. Raises OSError."""
    return printable(read_kernel_text(f"/proc/{pid}/comm").removesuffix("\n"), LONGEST_NAME)
