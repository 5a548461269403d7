"""A pipe whose end of file means that the parent is gone.

The launcher keeps the write end and hands the read end to what it starts; the kernel closes the
write end however the launcher dies. PR_SET_PDEATHSIG would need code between fork and exec.
"""

import os

VARIABLE = "BANGER_PARENT_PIPE"
"""Environment variable with the number of the inherited read end."""


def inherited() -> int | None:
    """The read end that this process has inherited, or None when there is none.

    The variable is removed from the environment, because children do not inherit the descriptor.
    """
    value = os.environ.pop(VARIABLE, "")
    if not value.isdigit():
        return None
    os.set_inheritable(int(value), False)
    return int(value)


def create() -> tuple[int, int]:
    """(read end to hand to children by ``pass_fds``, write end to keep)."""
    read, write = os.pipe2(os.O_CLOEXEC)
    return read, write
