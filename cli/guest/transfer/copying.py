"""``vm cp``: into a guest, out of one, between two, and tar streams from and to a pipe.

A guest sends and takes tar streams over the shared ssh session (``guest_script``); this host makes
and reads them itself, because it trusts nothing that a guest sends.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cli.guest.transfer import guest_script, tar_writer
from cli.guest.transfer.archive_entry import CHUNK, EntryKind, TreeEntry
from cli.guest.transfer.causes import failed, guest_words, of_os_error
from cli.guest.transfer.extraction import Extraction, fill_without_holes, write_all
from cli.guest.transfer.guest_end import GuestEnd
from cli.guest.transfer.local_tree import LocalSource
from cli.guest.transfer.outcome import CopyOutcome
from cli.guest.transfer.plan import Landing, SourceKind, Target, TargetKind, Way, land
from cli.guest.transfer.tar_reader import ForwardStream, damaged, entries
from shared.contract.sizes import MIB
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable

BIG = 64 * MIB
"""From this size on, the free space is checked first, which takes 0.2 s."""
NAME_LIMIT = 4096
FOLLOWED = "followed"
"""What a guest calls a directory that it reached through a link: the link's name, the contents."""


@dataclass(frozen=True)
class GuestPaths:
    """Sources in one guest. ``glob``: patterns, which its shell expands."""

    access: Access
    paths: Sequence[str]
    follow: bool = False
    glob: bool = False
    user: str = ""
    """Whose files they are read as; empty for root."""

    def open(self, *, raw: bool) -> GuestEnd:
        """The guest's command that sends them, with nothing to read."""
        argv = guest_script.send_argv(self.paths, follow=self.follow, raw=raw, glob=self.glob)
        guest = GuestEnd(self.access, argv, user=self.user)
        guest.close_input()
        return guest


@dataclass(frozen=True)
class GuestPlace:
    """A destination in a guest, and the user who writes there; empty for root."""

    access: Access
    path: str
    user: str = ""


@dataclass(frozen=True)
class Arriving:
    """A source as a guest sends it: its entries can be read until the next one is asked for."""

    kind: SourceKind
    name: str
    entries: Callable[[], Iterator[TreeEntry]]


def upload(sources: Sequence[LocalSource], target: GuestPlace, to: CopyOutcome) -> None:
    """Copy files of this host into a guest.

    Raises:
        BangerError: with nothing copied where the destination does not fit the sources, or has no
            room; what fails later is in ``to``.
    """
    to.total = sum(source.size() for source in sources)
    names = [source.name for source in sources]
    with Receiver(target, names, size=to.total) as guest:
        landings = [
            land(each.kind, each.name, guest.target, several=len(sources) > 1) for each in sources
        ]
        guest.begin(landings[0], sources[0].kind)
        for source, landing in zip(sources, landings, strict=True):
            guest.take(source.entries(to.failed), landing, to)
        guest.finish(to)


def relay(source: GuestPaths, target: GuestPlace, to: CopyOutcome) -> None:
    """Copy out of one guest into another."""
    several = source.glob or len(source.paths) > 1
    # Known before the first byte; a pattern's are not, and the receiving tar is strict itself.
    names = [] if source.glob else [_last(path) for path in source.paths]
    with Receiver(target, names) as guest:
        for each in arriving(source, to):
            landing = land(each.kind, each.name, guest.target, several=several)
            guest.begin(landing, each.kind)
            guest.take(each.entries(), landing, to)
        guest.finish(to)


def download(source: GuestPaths, target: str, to: CopyOutcome) -> None:
    """Copy out of a guest to this host. Raises what ``upload`` does."""
    several = source.glob or len(source.paths) > 1
    for each in arriving(source, to):
        found = local_target(target, each.name)
        landing = land(each.kind, each.name, found, several=several)
        if landing.way is Way.WRITE:
            _write(found.path, each, to)
            continue
        directory, root = found.path, (landing.name,) if landing.name else ()
        if landing.way is Way.AS:
            real = str(Path(found.path).resolve()) if found.kind is TargetKind.FILE else found.path
            directory, _, name = real.rstrip("/").rpartition("/")
            directory, root = directory or ("/" if real.startswith("/") else "."), (name,)
        with Extraction(directory, to.failed, to.moved) as extraction:
            for entry in each.entries():
                extraction.place(entry, root)
                to.files += entry.kind is not EntryKind.DIRECTORY


def pour_out(source: GuestPaths, descriptor: int, to: CopyOutcome) -> None:
    """Write a guest's files as a tar stream to a descriptor of this process."""
    with source.open(raw=True) as guest:
        while chunk := guest.read(CHUNK):
            write_all(descriptor, chunk)
            to.moved(len(chunk))
        _end(guest, to)


def pour_in(descriptor: int, target: GuestPlace, to: CopyOutcome) -> None:
    """Extract a tar stream from a descriptor of this process in a directory of a guest, with the
    owners that it names."""
    with Receiver(target, []) as guest:
        if guest.target.kind is not TargetKind.DIRECTORY:
            known = guest.target.kind is not TargetKind.ABSENT
            raise failed("ENOTDIR" if known else "ENOENT", target.path)
        guest.unpack(iter(lambda: os.read(descriptor, CHUNK), b""), to)
        guest.finish(to)


class Receiver:
    """A guest that takes files. A context manager."""

    def __init__(self, place: GuestPlace, names: Sequence[str], *, size: int = 0) -> None:
        """Raises ``no_space`` when ``size`` bytes do not fit."""
        path = place.path
        argv = guest_script.receive_argv(path, names, space=size >= BIG)
        self._guest = GuestEnd(place.access, argv, user=place.user)
        self._token = f".banger-{os.urandom(8).hex()}"
        self._way = ""
        try:
            line = self._guest.line(guest_script.FACTS_LIMIT)
            if not line:
                raise _silent(self._guest)
            self.target, free = guest_script.target_of(line, path, names)
            if free is not None and size > free:
                raise _too_big(size, free)
        except BaseException:
            self._guest.__exit__(None, None, None)
            raise

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._guest.__exit__(None, None, None)

    def begin(self, landing: Landing, kind: SourceKind) -> None:
        """Tell the guest where to extract; all sources of one copy go the same way."""
        if self._way:
            return
        self._way = landing.way.value
        if landing.way is Way.AS:
            whole = kind in (SourceKind.DIRECTORY, SourceKind.CONTENTS)
            self._way = "beside" if whole else f"beside {self._token}"
        self._guest.write(f"{self._way}\n".encode())

    def take(self, entries: Iterable[TreeEntry], landing: Landing, to: CopyOutcome) -> None:
        """Send a source; what the guest refuses is in ``to`` at the end."""
        root = (landing.name,) if landing.name else ()
        if landing.way is Way.WRITE:
            root = (self._token,)  # tar drops it
        elif landing.way is Way.AS:
            name = self.target.path.rstrip("/").rpartition("/")[2]
            root = (self._token,) if self._way.endswith(self._token) else (name,)
        for entry in entries:
            if not root and not entry.path:
                continue  # a directory that is merged into keeps its mode and times
            if entry.kind is EntryKind.SPECIAL:
                continue
            if not self._send(entry, root, to):
                return  # the end says why
            to.files += entry.kind is not EntryKind.DIRECTORY

    def _send(self, entry: TreeEntry, root: tuple[str, ...], to: CopyOutcome) -> bool:
        if not self._guest.write(tar_writer.header(entry, root)):
            return False
        if entry.kind is not EntryKind.FILE:
            return True
        for chunk in entry.content():
            if not self._guest.write(chunk):
                return False
            to.moved(len(chunk))
        return self._guest.write(tar_writer.padding(entry))

    def unpack(self, chunks: Iterable[bytes], to: CopyOutcome) -> None:
        """Send an archive as it is."""
        self._way = "unpack"
        self._guest.write(b"unpack\n")
        for chunk in chunks:
            if not self._guest.write(chunk):
                return
            to.moved(len(chunk))

    def finish(self, to: CopyOutcome) -> None:
        """Wait until everything is written."""
        if self._way and self._way != "unpack":
            self._guest.write(tar_writer.END)
        self._guest.close_input()
        _end(self._guest, to, lambda line: line.replace(f"./{self._token}", self.target.path))


def arriving(source: GuestPaths, to: CopyOutcome) -> Iterator[Arriving]:
    """The sources as the guest sends them, each after the other.

    Raises:
        BangerError: ``guest_failed`` for an answer that is damaged or was not asked for.
    """
    with source.open(raw=False) as guest:
        stream = ForwardStream(guest.read)
        number = 0
        while stream.skip_zeros():
            kind = stream.until(b"\0", 16).decode("ascii", "replace")
            name = os.fsdecode(stream.until(b"\0", NAME_LIMIT))
            if kind == "done":
                break
            asked = source.paths[0 if source.glob else min(number, len(source.paths) - 1)]
            number += 1
            if kind in ("error", "special"):
                to.failed(_refused(kind, name, asked))
                continue
            _check_asked(kind, name, asked, glob=source.glob)
            yield _source(kind, name, stream, guest)
        else:
            raise _silent(guest)
        _end(guest, to)


def _source(kind: str, name: str, stream: ForwardStream, guest: GuestEnd) -> Arriving:
    root = () if kind in (FOLLOWED, SourceKind.CONTENTS) else (name,)
    found = SourceKind.DIRECTORY if kind == FOLLOWED else SourceKind(kind)
    return Arriving(found, name, lambda: _explained(_only(found, entries(stream, root)), guest))


def _explained(found: Iterator[TreeEntry], guest: GuestEnd) -> Iterator[TreeEntry]:
    """The entries; where they are damaged, the guest's own words for it if there are any, such as
    that it has no tar."""
    try:
        yield from found
    except BangerError as error:
        guest.stop_listening()
        if said := guest.complaints():
            raise guest_words(said) from error
        raise


def _only(kind: SourceKind, found: Iterator[TreeEntry]) -> Iterator[TreeEntry]:
    """The entries, of which the first has to be what was announced."""
    expected = {SourceKind.FILE: EntryKind.FILE, SourceKind.LINK: EntryKind.LINK}
    for number, entry in enumerate(found):
        if kind in expected and (number or entry.path or entry.kind is not expected[kind]):
            raise damaged("something else than was asked for")
        if (
            not number
            and kind not in expected
            and (entry.path or entry.kind is not EntryKind.DIRECTORY)
        ):
            raise damaged("a directory that is none")
        yield entry


def _check_asked(kind: str, name: str, asked: str, *, glob: bool) -> None:
    """A guest must not choose the names of files on this host."""
    if kind == SourceKind.CONTENTS and not name:
        return
    if kind not in (FOLLOWED, *SourceKind) or name in ("", ".", "..") or "/" in name:
        raise damaged("an answer of no known form")
    last = _last(asked)
    hidden = glob and name.startswith(".") and not last.startswith(".")
    if hidden or not (fnmatchcase(name, last) if glob else name == last):
        raise damaged("a file that was not asked for")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _refused(kind: str, words: str, asked: str) -> BangerError:
    if kind == "special":
        return BangerError(
            Code.INVALID,
            f"{asked} is neither a file, a directory nor a link",
            hint="devices, sockets and pipes are not copied",
        )
    return guest_words([printable(words)])


def local_target(path: str, name: str) -> Target:
    """What is at ``path`` on this host, and in it under the name of a source."""
    try:
        kind = _kind(path, follow=True)
        parent = _kind(path.rstrip("/").rpartition("/")[0] or ("/" if path[0] == "/" else "."))
        inside = {}
        if kind is TargetKind.DIRECTORY and name:
            inside[name] = _kind(f"{path}/{name}", follow=False)
    except OSError as error:
        raise of_os_error(error, path) from None
    return Target(path, kind, parent, inside)


def _kind(path: str, *, follow: bool = True) -> TargetKind:
    try:
        mode = Path(path).stat(follow_symlinks=follow).st_mode
    except NotADirectoryError:
        return TargetKind.ABSENT
    except FileNotFoundError:
        return TargetKind.DANGLING if follow and Path(path).is_symlink() else TargetKind.ABSENT
    if stat.S_ISDIR(mode):
        return TargetKind.DIRECTORY
    return TargetKind.FILE if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else TargetKind.SPECIAL


def _write(path: str, source: Arriving, to: CopyOutcome) -> None:
    """Into a device or pipe of this host: its mode and times are its own."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for entry in source.entries():
                fill_without_holes(descriptor, entry, to.moved)
                to.files += 1
        finally:
            os.close(descriptor)
    except OSError as error:
        raise of_os_error(error, path) from None


def _end(
    guest: GuestEnd, to: CopyOutcome, naming: Callable[[str], str] = lambda line: line
) -> None:
    """Wait for the guest; ``naming`` gives its complaints the names that the user knows."""
    status = guest.finish()
    said = list(dict.fromkeys(map(naming, guest.complaints())))
    if status != 0 and (said or not to.number_failed):
        to.cut_off = True
        to.failed(guest_words(said))


def _silent(guest: GuestEnd) -> BangerError:
    guest.finish()
    said = "; ".join(guest.complaints()[:3])
    return BangerError(
        Code.UNAVAILABLE,
        "the guest's session ended without an answer" + (f": {said}" if said else ""),
        hint="check it: banger vm health",
    )


def _too_big(size: int, free: int) -> BangerError:
    return BangerError(
        Code.NO_SPACE,
        f"{size // MIB} MiB to copy, but only {free // MIB} MiB free in the guest",
        hint="stop the VM and enlarge its disk: banger vm set --disk-size",
        details={"errno": "ENOSPC"},
    )
