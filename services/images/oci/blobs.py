"""The cache of downloads: files named by the SHA-256 of their content.

``<data>/blobs/sha256/<64 hex>`` is whole; ``<64 hex>.part`` is not yet, and is locked (flock) by
the process that fetches it. What an earlier process has left of it is gone on with. A file gets its
name when size and sum are right. It is not flushed to the disk before: whoever uses a layer
compares the sum of what is in it, and drops a file that has gone bad (``drop``).
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.images.library.publish import refused
from services.images.oci.documents import check_digest, invalid
from shared.errors import BangerError, Code

PART = ".part"
_BLOCK = 1 << 20

Wait = Callable[[], None]
"""Called again and again while another process fetches the same; raises to give up."""


@dataclass(frozen=True)
class CachedBlob:
    """One file of the cache. ``digest`` is of the whole content, also of one that is partial."""

    digest: str
    path: Path
    real_bytes: int
    is_partial: bool


class BlobDraft:
    """A blob that is being written, by whom holds its lock."""

    def __init__(self, path: Path, file: int, digest: str, size: int) -> None:
        self._path = path
        self._file = file
        self._digest = digest
        self._size = size
        self._sum = hashlib.sha256()
        self.offset = 0
        """How many bytes are there; the next ones are written behind them."""
        self._take_over()

    def write(self, block: bytes | memoryview) -> None:
        """Append. Raises ``invalid`` when there is more than the size that was told."""
        if self.offset + len(block) > self._size:
            self.restart()
            raise invalid(f"{self._digest} is longer than {self._size} bytes")
        self._sum.update(block)
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise refused(self._path, error) from error
        self.offset += len(block)

    def restart(self) -> None:
        """Forget all of it."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._sum, self.offset = hashlib.sha256(), 0

    def finish(self) -> Path:
        """Give the file its name. Raises ``invalid`` when size or sum is wrong; nothing is left
        then."""
        found = f"sha256:{self._sum.hexdigest()}"
        if (self.offset, found) != (self._size, self._digest):
            size = self.offset
            self.restart()
            raise invalid(f"the content of {self._digest} is another: {found}, {size} bytes")
        os.fchmod(self._file, 0o600)
        return self._path.replace(self._path.with_suffix(""))

    def _take_over(self) -> None:
        while block := os.read(self._file, _BLOCK):
            self._sum.update(block)
            self.offset += len(block)
        if self.offset > self._size:
            self.restart()


class BlobCache:
    """The files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = root / "sha256"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Nothing is pruned inside."""
        with self._locked(fcntl.LOCK_SH):
            yield

    def find(self, digest: str, size: int) -> Path | None:
        """The whole blob, if it is here and as large as it should be."""
        path = self._path(digest)
        try:
            return path if path.lstat().st_size == size else None
        except FileNotFoundError:
            return None

    def drop(self, digest: str) -> None:
        """Remove a blob whose content has turned out to be wrong."""
        self._path(digest).unlink(missing_ok=True)

    @contextmanager
    def draft(self, digest: str, size: int, wait: Wait) -> Iterator[BlobDraft]:
        """The blob to be written, with what is there of it.

        While another process writes it, ``wait`` is called; ask ``find`` first inside, since that
        process may have finished it. What is written stays for the next one, unless it is wrong.

        Raises:
            BangerError: ``denied`` or ``no_space`` when the disk refuses.
        """
        path = self._path(digest).with_suffix(PART)
        try:
            self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = _open_locked(path, wait)
        except OSError as error:
            raise refused(path, error) from error
        try:
            yield BlobDraft(path, file, digest, size)
        finally:
            if os.fstat(file).st_size == 0:
                path.unlink(missing_ok=True)
            os.close(file)

    def entries(self) -> list[CachedBlob]:
        """All files, the largest first."""
        found = []
        for path in self._files.glob("*"):
            status = path.lstat()
            partial = path.suffix == PART
            digest = f"sha256:{path.name.removesuffix(PART)}"
            found.append(CachedBlob(digest, path, status.st_blocks * 512, partial))
        return sorted(found, key=lambda blob: (-blob.real_bytes, blob.digest))

    def prune(self, *, dry_run: bool = False) -> list[CachedBlob]:
        """Remove all of them; return what was, or with ``dry_run`` would be.

        Raises:
            BangerError: ``busy`` while an image is pulled.
        """
        if dry_run or not self._files.is_dir():
            return self.entries()
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            gone = self.entries()
            for blob in gone:
                blob.path.unlink(missing_ok=True)
            return gone

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock_unless_pulling(directory, how)
            yield
        finally:
            os.close(directory)

    def _path(self, digest: str) -> Path:
        return self._files / check_digest(digest).removeprefix("sha256:")


def _lock_unless_pulling(directory: int, how: int) -> None:
    try:
        fcntl.flock(directory, how)
    except BlockingIOError:
        raise BangerError(
            Code.BUSY, "an image is being pulled", hint="prune again when it is here"
        ) from None


def _open_locked(path: Path, wait: Wait) -> int:
    """A descriptor of the file at ``path``, made if need be, that holds its lock."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        file = os.open(path, flags, 0o600)
        if _lock_named(file, path):
            return file
        os.close(file)
        wait()


def _lock_named(file: int, path: Path) -> bool:
    """Lock the file. False when somebody else has the lock, or has given the file another name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(path.lstat(), os.fstat(file))
    except (BlockingIOError, FileNotFoundError):
        return False
