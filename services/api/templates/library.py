"""The templates of this state directory: ``templates/KEY/``, each a saved machine with a record.

    saved.json, memory, device_state, overlay.ext4, work.ext4     as of any saved machine
    template.json     ``TemplateRecord``; its time of change is when the template was last used

A template is made under another name and published by one rename. Whatever is wrong with one, it is
removed and a VM boots instead: nobody's work is in it.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from services.api.machines.disk_use import occupied
from services.api.templates.key import VERSION, TemplateFacts
from shared.errors import BangerError, Code
from shared.host.files import sweep_drafts, sync, write_atomically
from shared.logs import Log
from shared.vm import files
from shared.vm.publish_saved import discard, sweep
from shared.vm.saved import SavedMachine, read_saved

RECORD = "template.json"
MAKING = ".making-"
"""Begins the name of a directory that is not published yet."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was when its content was known to be right."""

    bytes: int
    modified_ns: int
    inode: int


class TemplateRecord(msgspec.Struct, kw_only=True):
    """``template.json``."""

    version: int = VERSION
    key: str
    facts: TemplateFacts
    image_name: str
    made_at: float
    """Seconds since the epoch."""
    uses: int = 0
    stamps: dict[str, Stamp] = {}


class TemplateLibrary:
    """``limit``: bytes that all of them may occupy; 0: there are none. ``max_age``: seconds after
    which one is of no use; 0: never."""

    def __init__(self, directory: Path, limit: int, max_age: float, log: Log) -> None:
        self.directory = directory
        self.limit = limit
        self._max_age = max_age
        self._log = log

    def place(self, key: str) -> Path:
        return self.directory / key

    def keys(self) -> list[str]:
        """Of all that are there, damaged ones too."""
        if not self.directory.is_dir():
            return []
        names = (path.name for path in self.directory.iterdir() if path.is_dir())
        return sorted(name for name in names if not name.startswith("."))

    def records(self) -> Iterator[TemplateRecord]:
        """Of those that can be read."""
        for key in self.keys():
            if record := self.record(key):
                yield record

    def record(self, key: str) -> TemplateRecord | None:
        try:
            content = (self.place(key) / RECORD).read_bytes()
            record = msgspec.json.decode(content, type=TemplateRecord)
        except (OSError, msgspec.DecodeError):
            return None
        return record if (record.version, record.key) == (VERSION, key) else None

    def used_at(self, key: str) -> float:
        """Seconds since the epoch; 0 for one without a record."""
        try:
            return (self.place(key) / RECORD).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def real_bytes(self, key: str) -> int:
        return occupied(self.place(key))

    def is_too_old(self, record: TemplateRecord) -> bool:
        """Whether another one is to be made in its place."""
        return bool(self._max_age) and time.time() - record.made_at > self._max_age

    # -- use --------------------------------------------------------------------------------

    def find(self, key: str) -> SavedMachine | None:
        """The template, fit to be used; None when there is none. A damaged one is removed.

        Its memory is read only when something has touched its files since they were last read.
        """
        if not self.limit or not (self.place(key) / RECORD).exists():
            return None
        record = self.record(key)
        try:
            if record is None:
                self._remove(key, "its record cannot be read")
                return None
            if self.is_too_old(record):
                return None
            return self._checked(record)
        except BangerError as error:
            self._remove(key, error.message)
        return None

    def _checked(self, record: TemplateRecord) -> SavedMachine:
        place = self.place(record.key)
        stamps = stamps_of(place, record.stamps)
        intact = stamps == record.stamps
        saved = read_saved(place, check=not intact)
        for name in (files.OVERLAY, files.WORK_DISK):
            if stamps.get(name) != record.stamps.get(name):  # a disk has no sum
                raise BangerError(Code.INVALID, f"something has written to {place / name}")
        if not intact:
            self._write(msgspec.structs.replace(record, stamps=stamps_of(place, saved.files)))
        return saved

    def note_use(self, key: str) -> None:
        """Count a use. What goes wrong is not worth an error."""
        record = self.record(key)
        if record:
            self._write(msgspec.structs.replace(record, uses=record.uses + 1))

    def _write(self, record: TemplateRecord) -> None:
        try:
            path = self.place(record.key) / RECORD
            write_atomically(path, msgspec.json.encode(record))
        except (OSError, BangerError) as error:
            self._log.warning("template's record not written", key=record.key, error=str(error))

    # -- making and removing ----------------------------------------------------------------

    def draft(self, key: str) -> Path:
        """Where a template is to be saved. There is nothing yet."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self.directory / f"{MAKING}{key}"
        discard(target)
        return target

    def publish(self, key: str, facts: TemplateFacts, image_name: str) -> None:
        """Give what was saved in ``draft`` its name, in place of an older one. Others go first as
        far as ``limit`` asks for it, those that were used least recently.

        Raises:
            BangerError: ``no_space``, also for one that is larger than ``limit``; ``denied``.
            OSError: as the file system has it.
        """
        work = self.directory / f"{MAKING}{key}"
        saved = read_saved(work, check=False)
        record = TemplateRecord(
            key=key,
            facts=facts,
            image_name=image_name,
            made_at=time.time(),
            stamps=stamps_of(work, saved.files),
        )
        write_atomically(work / RECORD, msgspec.json.encode(record))
        discard(self.place(key))
        work.rename(self.place(key))
        sync(self.directory)
        self.keep_limit(but=key)

    def keep_limit(self, but: str = "") -> list[str]:
        """Remove those used least recently until all fit; ``but`` last. Returns their keys."""
        sizes = {key: self.real_bytes(key) for key in self.keys()}
        gone = []
        for key in sorted(sizes, key=lambda each: (each == but, self.used_at(each))):
            if sum(sizes.values()) <= self.limit:
                break
            self._remove(key, f"all templates take more than {self.limit} bytes")
            del sizes[key]
            gone.append(key)
        return gone

    def remove(self, key: str) -> None:
        """Raises as ``discard``."""
        discard(self.place(key))

    def _remove(self, key: str, reason: str) -> None:
        self._log.info("template removed", key=key, reason=reason)
        try:
            self.remove(key)
        except BangerError as error:
            self._log.error("template not removed", key=key, error=error.message)

    def sweep(self) -> None:
        """Remove what processes that have ended were about to make."""
        if self.directory.is_dir():
            sweep(self.directory)
            for left in self.directory.glob(f"{MAKING}*"):
                discard(left)
            for place in map(self.place, self.keys()):
                sweep_drafts(place / RECORD)


def stamps_of(directory: Path, names: Iterable[str]) -> dict[str, Stamp]:
    """Of those of the files that are there."""
    stamps = {}
    for name in names:
        try:
            status = (directory / name).stat()
        except FileNotFoundError:
            continue
        stamps[name] = Stamp(
            bytes=status.st_size, modified_ns=status.st_mtime_ns, inode=status.st_ino
        )
    return stamps
