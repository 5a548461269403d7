"""The files that a guest has added or changed, as a tar archive that is written as it is read.

GNU's format, because it takes a name as bytes without a rule.
"""

import io
import os
import tarfile
import time
from collections.abc import Iterable
from subprocess import PIPE
from typing import IO, cast

from services.workspaces.incoming.changes import EXECUTABLE, SYMLINK, TreeChange, stop
from services.workspaces.repository.git_process import GitProcess
from shared.errors import BangerError, Code

LONGEST_TARGET = 4096
"""Bytes of a symlink (PATH_MAX)."""


class TreeArchive:
    """Entries of one or several repositories in one archive. A context manager."""

    def __init__(self, output: IO[bytes]) -> None:
        self._tar = tarfile.open(  # noqa: SIM115
            fileobj=output, mode="w|", format=tarfile.GNU_FORMAT,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        self._now = int(time.time())

    def __enter__(self) -> "TreeArchive":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._tar.close()

    @property
    def size(self) -> int:
        """Bytes of the archive, once it is closed: it is padded to whole records."""
        return -(-self._tar.offset // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def add(self, git: GitProcess, changes: Iterable[TreeChange], prefix: bytes = b"") -> int:
        """Add the files; returns how many of the changes are deletions, which have none."""
        process = git.start("cat-file", "--batch", stdin=PIPE)
        deleted = 0
        try:
            for change in changes:
                if change.mode == 0:
                    deleted += 1
                elif not change.of_repository:
                    assert process.stdin
                    assert process.stdout
                    process.stdin.write(change.oid.encode() + b"\n")
                    process.stdin.flush()
                    self._add(prefix + change.path, change.mode, process.stdout)
        finally:
            stop(process)
        return deleted

    def _add(self, path: bytes, mode: int, contents: IO[bytes]) -> None:
        words = contents.readline().split()
        if len(words) != 3 or words[1] != b"blob":
            raise BangerError(Code.GUEST_FAILED, "the guest has not sent all of its files")
        size = int(words[2])
        entry = tarfile.TarInfo(os.fsdecode(path))
        entry.mtime = self._now
        entry.uid, entry.gid = os.getuid(), os.getgid()
        if mode == SYMLINK:
            if size > LONGEST_TARGET:
                raise BangerError(Code.GUEST_FAILED, "a symlink of the guest is too long")
            entry.type = tarfile.SYMTYPE
            entry.mode = 0o777
            entry.linkname = os.fsdecode(contents.read(size))
            self._tar.addfile(entry)
        else:
            entry.mode = 0o755 if mode == EXECUTABLE else 0o644
            entry.size = size
            self._tar.addfile(entry, cast(IO[bytes], _Exactly(contents, size)))
        contents.read(1)  # the line break after each


class _Exactly(io.RawIOBase):
    """The next ``size`` bytes of a stream, and no more."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece = self._stream.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)
