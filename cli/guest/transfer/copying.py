"""``vm cp``: into a guest, out of one, between two, and tar streams from and to a pipe.

A guest sends and takes tar streams over the shared ssh session (``guest_script``); this host makes
and reads them itself, because it trusts nothing that a guest sends.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cli.guest.transfer.archive_entry import CHUNK, EntryKind
from cli.guest.transfer.arriving import Arriving, GuestPaths, arriving, last_name
from cli.guest.transfer.causes import failed, of_os_error
from cli.guest.transfer.ending import wait_for_end
from cli.guest.transfer.extraction import Extraction, fill_without_holes, write_all
from cli.guest.transfer.local_target import local_target
from cli.guest.transfer.local_tree import LocalSource
from cli.guest.transfer.outcome import CopyOutcome
from cli.guest.transfer.plan import TargetKind, Way, land
from cli.guest.transfer.receiving import GuestPlace, Receiver


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
            if not guest.take(source.entries(to.failed), landing, to):
                break
        guest.finish(to)


def relay(source: GuestPaths, target: GuestPlace, to: CopyOutcome) -> None:
    """Copy out of one guest into another."""
    several = source.glob or len(source.paths) > 1
    # Known before the first byte; a pattern's are not, and the receiving tar is strict itself.
    names = [] if source.glob else [last_name(path) for path in source.paths]
    with Receiver(target, names) as guest:
        for each in arriving(source, to):
            landing = land(each.kind, each.name, guest.target, several=several)
            guest.begin(landing, each.kind)
            if not guest.take(each.entries(), landing, to):
                break  # what the other guest sends next is the rest of this source
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
                placed = extraction.place(entry, root)
                to.files += placed and entry.kind is not EntryKind.DIRECTORY


def pour_out(source: GuestPaths, descriptor: int, to: CopyOutcome) -> None:
    """Write a guest's files as a tar stream to a descriptor of this process."""
    with source.open(raw=True) as guest:
        while chunk := guest.read(CHUNK):
            write_all(descriptor, chunk)
            to.moved(len(chunk))
        wait_for_end(guest, to)


def pour_in(descriptor: int, target: GuestPlace, to: CopyOutcome) -> None:
    """Extract a tar stream from a descriptor of this process in a directory of a guest, with the
    owners that it names."""
    with Receiver(target, []) as guest:
        if guest.target.kind is not TargetKind.DIRECTORY:
            known = guest.target.kind is not TargetKind.ABSENT
            raise failed("ENOTDIR" if known else "ENOENT", target.path)
        guest.unpack(iter(lambda: os.read(descriptor, CHUNK), b""), to)
        guest.finish(to)


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
