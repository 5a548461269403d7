"""Writing files that other processes read: whole or not at all, also after a power cut."""

import errno
import os
from pathlib import Path

from shared.errors import BangerError, Code


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Temporary file, fsync, rename (runtime rule 28).

    Raises:
        BangerError: ``no_space``; the old content, if any, is still there then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BangerError(
                Code.NO_SPACE, f"no space left to write {path}", hint="free some space"
            ) from error
        raise
