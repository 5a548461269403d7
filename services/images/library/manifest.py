"""``manifest.json`` in the directory of an image or a kernel, and the check that it is true.

The name of a directory is its id, which depends on the content: the first 16 hexadecimal digits of
the SHA-256 of the root filesystem, or, for a kernel, of the list of its files' sums.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from shared.contract.names import ID_LENGTHS
from shared.errors import BangerError, Code

FILE_NAME = "manifest.json"
ID_LENGTH = ID_LENGTHS["an image"]
_BLOCK = 1 << 20


class FileSum(msgspec.Struct, frozen=True, kw_only=True):
    """One file: size in bytes, SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Rootfs(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    format: Literal["squashfs", "ext4"]
    size: int
    sha256: str


class ImageManifest(msgspec.Struct, frozen=True, kw_only=True):
    """``created`` is RFC 3339 in UTC."""

    id: str
    name: str
    arch: str
    created: str
    source: str
    rootfs: Rootfs

    def sums(self) -> dict[str, FileSum]:
        """All files but the manifest."""
        return {self.rootfs.file: FileSum(size=self.rootfs.size, sha256=self.rootfs.sha256)}

    def content_id(self) -> str:
        return self.rootfs.sha256[:ID_LENGTH]


class KernelManifest(msgspec.Struct, frozen=True, kw_only=True):
    """``version`` is the kernel's ``uname -r``; ``created`` is RFC 3339 in UTC."""

    id: str
    name: str
    version: str
    arch: str
    created: str
    source: str
    files: dict[str, FileSum]

    def sums(self) -> dict[str, FileSum]:
        """All files but the manifest."""
        return self.files

    def content_id(self) -> str:
        return id_of_files(self.files)


Manifest = ImageManifest | KernelManifest
M = TypeVar("M", ImageManifest, KernelManifest)


def id_of_files(files: Mapping[str, FileSum]) -> str:
    """The id of several files: the hash of what ``sha256sum`` prints for them, sorted by name."""
    listing = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(listing.encode()).hexdigest()[:ID_LENGTH]


def sum_file(path: Path) -> FileSum:
    """Read the whole file: about 2 ms per MiB, too long for an event loop."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return FileSum(size=size, sha256=digest.hexdigest())


def read(directory: Path, kind: type[M]) -> M:
    """The manifest of ``directory``, checked against the directory's name and files' sizes.

    Raises:
        BangerError: ``invalid``, with what is wrong and how to replace it.
    """
    try:
        manifest = msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=kind)
    except OSError as error:
        raise broken(directory, f"no readable {FILE_NAME}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise broken(directory, f"{FILE_NAME} is not valid: {error}") from error
    if manifest.id != directory.name or manifest.content_id() != manifest.id:
        raise broken(directory, f"{FILE_NAME} is of another directory ({manifest.id})")
    for name, expected in manifest.sums().items():
        _check_size(directory, name, expected)
    return manifest


def broken(directory: Path, problem: str) -> BangerError:
    """The error for a directory that cannot be used."""
    return BangerError(
        Code.INVALID,
        f"{directory}: {problem}",
        hint=f"delete it by its id ({directory.name}), then build or pull it again",
    )


def _check_size(directory: Path, name: str, expected: FileSum) -> None:
    if Path(name).name != name or name in ("", ".", "..", FILE_NAME):
        raise broken(directory, f"{FILE_NAME} names a file outside of it: {name!r}")
    try:
        size = (directory / name).stat().st_size
    except OSError as error:
        raise broken(directory, f"{name}: {error.strerror}") from error
    if size != expected.size:
        raise broken(directory, f"{name} has {size} bytes, not {expected.size}")
