"""What builds find again: the disks of a VM as a step has left them, and the images they gave.

Each is a directory of ``Paths.builds`` whose name is a key (``keys``). It appears by a rename and
is never changed; a reader that finds it gone runs the steps again.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from services.images.library.scratch import PREFIX, scratch
from shared.contract.names import ID_LENGTHS
from shared.errors import BangerError, Code
from shared.host.files import is_full, sync
from shared.vm import files

IMAGE = "image"
"""Holds the id of the image that a build gave."""
DISKS = (files.OVERLAY, files.WORK_DISK)
MOST_STEPS_KEPT = 30
"""Directories with disks. The one that was used longest ago goes first."""
_LEAST_FREE = 2 << 30
"""Bytes that stay free: a cache is not worth a full disk."""


class KeptSteps:
    """All that is kept. Every call reads the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def steps(self) -> list[Path]:
        """The directories, the one that was used longest ago first."""
        with suppress(OSError):
            found = [each for each in self.root.iterdir() if not each.name.startswith(PREFIX)]
            return sorted(found, key=_used)
        return []

    def has_disks(self, key: str) -> bool:
        return all((self.root / key / name).is_file() for name in DISKS)

    def image_of(self, key: str) -> str:
        """The id of the image that a build gave, or ""."""
        try:
            found = (self.root / key / IMAGE).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""
        return found if len(found) == ID_LENGTHS["an image"] else ""

    def note_image(self, key: str, image_id: str) -> None:
        """Remember which image a build gave."""
        with scratch(self.root) as work:
            (work.path / IMAGE).write_text(image_id, encoding="ascii")
            self._publish(work.path, key)

    def keep_disks(self, key: str, vm_state: Path) -> None:
        """Copy the disks of a VM that does not write to them, in place of what was kept under the
        key, unless the disk of this host is almost full. Takes as long as copying what they occupy.

        Raises:
            BangerError: ``no_space``.
        """
        needed = sum((vm_state / name).stat().st_blocks * 512 for name in DISKS)
        self.root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < needed + _LEAST_FREE:
            return
        with scratch(self.root) as work:
            for name in DISKS:
                copy_sparse(vm_state / name, work.path / name)
                sync(work.path / name)
            self._publish(work.path, key)
        self._make_room()

    def place_disks(self, key: str, vm_state: Path) -> bool:
        """Copy the kept disks into the directory of a VM that has none; False when they are gone.

        Raises:
            BangerError: ``no_space``.
        """
        kept = self.root / key
        try:
            os.utime(kept)
            vm_state.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in DISKS:
                copy_sparse(kept / name, vm_state / name)
        except FileNotFoundError:
            for name in DISKS:
                (vm_state / name).unlink(missing_ok=True)
            return False
        return True

    def remove(self, key: str) -> None:
        """Remove one, if it is there."""
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=PREFIX, dir=self.root) as old:
            (self.root / key).rename(Path(old) / key)

    def _publish(self, work: Path, key: str) -> None:
        self.remove(key)
        with suppress(FileExistsError):
            work.rename(self.root / key)
            (self.root / key).chmod(0o700)

    def _make_room(self) -> None:
        with_disks = [each for each in self.steps() if self.has_disks(each.name)]
        for each in with_disks[: -MOST_STEPS_KEPT or None]:
            self.remove(each.name)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file without its holes; the blocks are shared where the filesystem can do that.

    Raises:
        BangerError: ``no_space``.
        FileNotFoundError: when there is no ``source``.
    """
    with source.open("rb") as reader, target.open("xb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        size = os.fstat(reader.fileno()).st_size
        os.truncate(writer.fileno(), size)
        try:
            _copy_data(reader.fileno(), writer.fileno(), size)
        except OSError as error:
            target.unlink(missing_ok=True)
            if is_full(error):
                raise BangerError(
                    Code.NO_SPACE, f"no space left on the filesystem of {target.parent}",
                    hint="see: banger system df",
                ) from error  # fmt: skip
            raise


def _copy_data(reader: int, writer: int, size: int) -> None:
    at = 0
    while at < size:
        try:
            start = os.lseek(reader, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        end = os.lseek(reader, start, os.SEEK_HOLE)
        at = start
        while at < end:
            copied = os.copy_file_range(reader, writer, end - at, at, at)
            if not copied:
                return
            at += copied


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
