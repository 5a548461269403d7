"""The published images, or the published kernels: list, find, remove.

Layout of a library's root (docs/images.md): one directory per id, ``by-name/<name>`` links, and
hidden directories of work in progress, which readers ignore.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal

from services.images.library import manifest as manifests
from services.images.library.describe import EXT4, SEED, SQUASHFS
from services.images.library.entry_name import file_name, name_of
from services.images.library.manifest import FILE_NAME, ID_LENGTH, M
from services.images.library.publish import BY_NAME, point, refused
from services.images.library.scratch import PREFIX, remove_tree
from shared.contract.names import few
from shared.contract.reference import find_id
from shared.errors import BangerError, Code
from shared.host.files import sync

_ID = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}")
Noun = Literal["image", "kernel"]


@dataclass(frozen=True)
class Damaged:
    """A directory that cannot be used, and why."""

    path: Path
    problem: str


class Library(Generic[M]):
    """All images, or all kernels. Every call reads the disk, which other processes may change."""

    def __init__(self, root: Path, kind: type[M], noun: Noun) -> None:
        self.root = root
        self._kind: type[M] = kind
        self._noun = noun

    def entries(self) -> tuple[list[M], list[Damaged]]:
        """The entries that can be read, oldest first, and those that cannot, with the reason."""
        good: list[M] = []
        bad: list[Damaged] = []
        for directory in self._directories():
            try:
                good.append(manifests.read(directory, self._kind))
            except BangerError as error:
                bad.append(Damaged(directory, error.message))
        good.sort(key=lambda entry: (entry.created, entry.id))
        return good, bad

    def names(self) -> dict[str, str]:
        """Name → id, for the links that lead to a directory."""
        links = (self.root / BY_NAME).glob("[a-z0-9]*")
        targets = {
            name_of(link.name): link.readlink().name for link in sorted(links) if link.is_symlink()
        }
        return {name: found for name, found in targets.items() if self._path(found).is_dir()}

    def find(self, reference: str) -> M:
        """The entry meant by ``reference``: exact id or name, else a unique prefix of either.

        Raises:
            BangerError: as ``find_id``, and ``invalid`` when the entry is damaged.
        """
        identifier = self.identify(reference)
        return manifests.read(self._path(identifier), self._kind)

    def tag(self, reference: str, name: str, *, force: bool = False) -> M:
        """Give the entry one more name, with ``force`` also one that another entry has.

        Raises:
            BangerError: as ``find``; ``conflict``; ``no_space`` or ``denied``.
        """
        entry = self.find(reference)
        if not force:
            self.refuse_taken(name, entry.id)
        try:
            point(self.root, name, entry.id)
        except OSError as error:
            raise refused(self.root / BY_NAME / name, error) from error
        return entry

    def named(self, name: str) -> M | None:
        """The entry of exactly this name, if there is one that can be read."""
        identifier = self.names().get(name)
        try:
            return manifests.read(self._path(identifier), self._kind) if identifier else None
        except BangerError:
            return None

    def refuse_taken(self, name: str, identifier: str) -> None:
        """Raise ``conflict`` when another entry than ``identifier`` has the name."""
        holder = self.names().get(name, identifier)
        if holder != identifier:
            raise BangerError(
                Code.CONFLICT,
                f"another {self._noun} ({holder}) has the name {name}",
                hint="choose another name, or move the name to this one with --force",
            )

    def path_of(self, entry: M) -> Path:
        return self._path(entry.id)

    def remove(self, reference: str) -> str:
        """Remove an entry, damaged or not, and its names. Returns its id.

        Raises:
            BangerError: as ``find_id``; ``conflict`` when its directory holds a file that banger
                did not put there; ``denied``.
        """
        identifier = self.identify(reference)
        try:
            self._remove(identifier)
        except OSError as error:
            raise refused(self._path(identifier), error) from error
        return identifier

    def _remove(self, identifier: str) -> None:
        directory = self._path(identifier)
        self._check_owned(directory)
        for name, target in self.names().items():
            if target == identifier:
                (self.root / BY_NAME / file_name(name)).unlink()
        condemned = directory.with_name(f"{PREFIX}{identifier}")
        directory.rename(condemned)  # in one step, so that no reader finds a part of it
        remove_tree(condemned)
        sync(self.root)

    def _check_owned(self, directory: Path) -> None:
        known = PUBLISHED[self._noun] | {FILE_NAME}
        strays = sorted(p.name for p in directory.iterdir() if p.name not in known or p.is_dir())
        if directory.is_symlink() or strays:
            raise BangerError(
                Code.CONFLICT,
                f"{directory} holds files that banger did not create: {few(strays)}",
                hint="move them away, then delete again",
            )

    def identify(self, reference: str) -> str:
        """The id that ``reference`` means, of an entry that may be damaged. Raises as
        ``find_id``."""
        unnamed = [(directory.name, "") for directory in self._directories()]
        named = [(identifier, name) for name, identifier in self.names().items()]
        return find_id(self._noun, reference, named + unnamed)

    def _directories(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        found = (path for path in self.root.iterdir() if _ID.fullmatch(path.name))
        return sorted(path for path in found if path.is_dir())

    def _path(self, identifier: str) -> Path:
        return self.root / identifier


PUBLISHED: dict[Noun, frozenset[str]] = {
    "image": frozenset({SQUASHFS, EXT4, SEED}),
    "kernel": frozenset(
        {"vmlinuz", "vmlinux", "modules.squashfs", "initrd-modules.cpio", "tools.squashfs"}
    ),
}
"""Every file name that is ever published, so that a damaged directory can be removed too."""
