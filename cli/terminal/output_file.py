"""A file that a service fills, and that appears whole or not at all.

The service opens it as /proc/PID/fd/N: until it is whole it has no name, so that nothing is left of
it when this command is killed (O_TMPFILE, open(2)).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from shared.errors import BangerError, Code
from shared.host.files import is_full, move_into_place

MODE = 0o666
"""Before the umask."""
PIECE = 1 << 20


class DraftFile:
    """``address`` is the path for a service, ``file`` what this command reads it by."""

    def __init__(self, fd: int, name: Path | None = None) -> None:
        self.file: BinaryIO = os.fdopen(fd, "r+b", buffering=0)
        self.address = f"/proc/{os.getpid()}/fd/{fd}"
        self._name = name

    def copy_to(self, sink: BinaryIO) -> None:
        """Write all of it to ``sink``."""
        self.file.seek(0)
        while piece := self.file.read(PIECE):
            sink.write(piece)
        sink.flush()

    def publish(self, path: Path) -> None:
        """Give it the name ``path``, replacing what has it. Raises OSError."""
        if self._name is None:
            name = _hidden(path)
            name.unlink(missing_ok=True)
            fd = self.file.fileno()
            # With a directory os.link is linkat(2), which can follow the link that /proc has. The
            # directory itself does not matter: the path is absolute.
            os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd, follow_symlinks=True)
            self._name = name
        move_into_place(self._name, path)
        self._name = None

    def close(self) -> None:
        """What has not been published is gone."""
        self.file.close()
        if self._name:
            self._name.unlink(missing_ok=True)


@contextmanager
def output_file(path: str) -> Iterator[DraftFile]:
    """A file that has the name ``path`` when the block has ended without an error.

    What is there and is no regular file, such as a pipe, is written to.

    Raises:
        BangerError: ``denied``, ``no_space`` or ``not_found`` when it cannot be written.
    """
    target = Path(path)
    check_output_file(path)
    into = _is_special(target)
    try:
        draft = _draft(Path(os.environ.get("TMPDIR") or "/tmp") if into else target.parent, target)
    except OSError as error:
        _fail(path, error)
    try:
        yield draft
        try:
            if into:
                with target.open("wb") as sink:
                    draft.copy_to(sink)
            else:
                draft.publish(target)
        except OSError as error:
            _fail(path, error)
    finally:
        draft.close()


@contextmanager
def unnamed_file() -> Iterator[DraftFile]:
    """A file that never has a name, for what goes elsewhere when it is whole."""
    directory = Path(os.environ.get("TMPDIR") or "/tmp")
    try:
        draft = _draft(directory, directory / "banger")
    except OSError as error:
        _fail(str(directory), error)
    try:
        yield draft
    finally:
        draft.close()


def check_output_file(path: str) -> None:
    """Raise now what ``output_file`` would raise at its end, as far as it can be told."""
    target = Path(path)
    if target.is_dir():
        raise BangerError(Code.CONFLICT, f"{path} is a directory", hint="name a file in it")
    if not target.parent.is_dir():
        raise BangerError(Code.NOT_FOUND, f"there is no directory {target.parent}")
    if not os.access(target if _is_special(target) else target.parent, os.W_OK):
        raise BangerError(Code.DENIED, f"cannot write {path}: Permission denied")


def _is_special(path: Path) -> bool:
    with suppress(OSError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def _draft(directory: Path, target: Path) -> DraftFile:
    """A file without a name or, where the filesystem has none of those, with a hidden one."""
    with suppress(OSError):
        return DraftFile(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, MODE))
    name = _hidden(directory / target.name)
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    return DraftFile(os.open(name, flags, MODE), name)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{os.getpid()}.banger")


def _fail(path: str, error: OSError) -> NoReturn:
    code = Code.NO_SPACE if is_full(error) else Code.DENIED
    raise BangerError(code, f"cannot write {path}: {error.strerror}") from error
