"""The sources that a guest sends. It is asked for names, and sends no others."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cli.guest.transfer import guest_script
from cli.guest.transfer.archive_entry import EntryKind, TreeEntry
from cli.guest.transfer.causes import guest_words
from cli.guest.transfer.ending import silent, wait_for_end
from cli.guest.transfer.outcome import CopyOutcome
from cli.guest.transfer.plan import SourceKind
from cli.guest.transfer.tar_reader import ForwardStream, damaged, entries
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.ssh.guest_end import GuestEnd

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
class Arriving:
    """A source as a guest sends it: its entries can be read until the next one is asked for."""

    kind: SourceKind
    name: str
    entries: Callable[[], Iterator[TreeEntry]]


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
            raise silent(guest)
        wait_for_end(guest, to)


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
    last = last_name(asked)
    hidden = glob and name.startswith(".") and not last.startswith(".")
    if hidden or not (fnmatchcase(name, last) if glob else name == last):
        raise damaged("a file that was not asked for")


def last_name(path: str) -> str:
    """What the source is called."""
    return path.rstrip("/").rpartition("/")[2]


def _refused(kind: str, words: str, asked: str) -> BangerError:
    if kind == "special":
        return BangerError(
            Code.INVALID,
            f"{asked} is neither a file, a directory nor a link",
            hint="devices, sockets and pipes are not copied",
        )
    return guest_words([printable(words)])
