"""Unix sockets whose directory somebody hostile may write to."""

import asyncio
import errno
import os
import stat
from pathlib import Path

_DEFAULT_LIMIT = 2**16


async def connect(
    path: Path, *, limit: int = _DEFAULT_LIMIT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the socket that is itself at ``path``, and not to one that a link there names.
    ``limit``: the longest line in bytes.

    The path is opened first and the descriptor connected to (/proc/self/fd of proc(5)), so that
    nothing can be put in its place in between.

    Raises:
        OSError: as connect(2); ECONNREFUSED for what is no socket.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "no socket", str(path))
        return await asyncio.open_unix_connection(f"/proc/self/fd/{fd}", limit=limit)
    finally:
        os.close(fd)
