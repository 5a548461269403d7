"""How many descriptors a process of ours may have open."""

import resource
from contextlib import suppress

WANTED = 16384
"""Enough for every forward of a VM, and for a connection of every VM at the broker."""


def raise_limit() -> None:
    """Raise the soft limit to ``WANTED``, or as far as the hard limit allows (getrlimit(2)).

    The soft limit is 1024 on most systems, for programs that use select(2), which ours do not
    (systemd.exec(5), "Process Properties").
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):  # what is there has to do
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
