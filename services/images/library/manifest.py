"""``manifest.json`` in the directory of an image or a kernel, and the check that it is true.

The name of a directory is its id, which depends on the content: the first 16 hexadecimal digits of
the image's digest, or, for a kernel, of the SHA-256 of the list of its files' sums. An id is a name
and no more. What is trusted is compared by the whole digest.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from shared.contract.messages.image import MOST_LAYERS, ImageConfig, ImageOrigin
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


class WorkSeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a new work disk gets at its first boot: a tar.zst of the content of /root."""

    file: str
    size: int
    sha256: str


class ImageManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``created`` is RFC 3339 in UTC. Everything from ``config`` on came later than the first
    manifests, which are read as before."""

    id: str
    name: str
    arch: str
    created: str
    source: str
    rootfs: Rootfs
    config: ImageConfig | None = None
    base_digest: str = ""
    """The digest of the image below, of which this one holds only the changes."""
    origin: ImageOrigin | None = None
    seed: WorkSeed | None = None
    kernel: str = ""
    """The name of the kernel that it wants; empty: the default one."""
    external: str = ""
    """The path of a registered root filesystem, which the file in the directory links to."""
    external_mtime_ns: int = 0
    """When it was last changed before it was registered."""
    blobs: tuple[str, ...] = ()
    """Digests of the downloads that it was made of."""

    @property
    def base(self) -> str:
        """The id of the image below, or empty."""
        return self.base_digest.removeprefix("sha256:")[:ID_LENGTH]

    @property
    def digest(self) -> str:
        """What tells this image from all others: the SHA-256 of its root filesystem, or, when it
        has more than that, of a text that names all of it."""
        parts = {
            "base": self.base_digest,
            "config": _sum(self.config) if self.config else "",
            "seed": self.seed.sha256 if self.seed else "",
            "kernel": self.kernel,
        }
        if not any(parts.values()):
            return f"sha256:{self.rootfs.sha256}"
        return f"sha256:{_sum({'rootfs': self.rootfs.sha256, **parts})}"

    def sums(self) -> dict[str, FileSum]:
        """All files but the manifest."""
        found = {self.rootfs.file: FileSum(size=self.rootfs.size, sha256=self.rootfs.sha256)}
        if self.seed:
            found[self.seed.file] = FileSum(size=self.seed.size, sha256=self.seed.sha256)
        return found

    def content_id(self) -> str:
        return self.digest.removeprefix("sha256:")[:ID_LENGTH]


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

    @property
    def digest(self) -> str:
        return f"sha256:{_sum_of_files(self.files)}"

    def content_id(self) -> str:
        return id_of_files(self.files)


Manifest = ImageManifest | KernelManifest
M = TypeVar("M", ImageManifest, KernelManifest)


def id_of_files(files: Mapping[str, FileSum]) -> str:
    """The id of several files: the hash of what ``sha256sum`` prints for them, sorted by name."""
    return _sum_of_files(files)[:ID_LENGTH]


def _sum_of_files(files: Mapping[str, FileSum]) -> str:
    listing = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(listing.encode()).hexdigest()


def _sum(value: object) -> str:
    """The SHA-256 of a value as JSON whose keys are sorted, so that equal values have one sum."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


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
    if isinstance(manifest, ImageManifest) and manifest.external:
        _check_unchanged(directory, manifest)
    return manifest


def check_stack(stack: Sequence[ImageManifest]) -> None:
    """Raise ``invalid`` unless each image of ``stack`` lies on the next one, topmost first, and the
    last one on none."""
    if len(stack) > MOST_LAYERS:
        raise BangerError(
            Code.INVALID,
            f"{stack[0].name} has more than {MOST_LAYERS} layers",
            hint="start from an image that has fewer",
        )
    for upper, below in zip(stack, [*(each.digest for each in stack[1:]), ""], strict=True):
        if upper.base_digest != below:
            raise BangerError(
                Code.INVALID, f"{upper.name} ({upper.id}) does not lie on {below or 'nothing'}"
            )


def broken(directory: Path, problem: str) -> BangerError:
    """The error for a directory that cannot be used."""
    return BangerError(
        Code.INVALID,
        f"{directory}: {problem}",
        hint=f"delete it by its id ({directory.name}), then build or pull it again",
    )


def _check_unchanged(directory: Path, manifest: ImageManifest) -> None:
    changed = (directory / manifest.rootfs.file).stat().st_mtime_ns
    if changed != manifest.external_mtime_ns:
        raise broken(directory, f"{manifest.external} was changed after it was registered")


def _check_size(directory: Path, name: str, expected: FileSum) -> None:
    if Path(name).name != name or name in ("", ".", "..", FILE_NAME):
        raise broken(directory, f"{FILE_NAME} names a file outside of it: {name!r}")
    try:
        size = (directory / name).stat().st_size
    except OSError as error:
        raise broken(directory, f"{name}: {error.strerror}") from error
    if size != expected.size:
        raise broken(directory, f"{name} has {size} bytes, not {expected.size}")
