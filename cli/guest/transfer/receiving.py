"""A guest that takes files: it is told where they land, and extracts what it is sent."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cli.guest.transfer import guest_script, tar_writer
from cli.guest.transfer.archive_entry import EntryKind, TreeEntry
from cli.guest.transfer.ending import silent, wait_for_end
from cli.guest.transfer.outcome import CopyOutcome
from cli.guest.transfer.plan import Landing, SourceKind, Way
from shared.contract.sizes import MIB
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.ssh.guest_end import GuestEnd

BIG = 64 * MIB
"""From this size on, the free space is checked first, which takes 0.2 s."""


@dataclass(frozen=True)
class GuestPlace:
    """A destination in a guest, and the user who writes there; empty for root."""

    access: Access
    path: str
    user: str = ""


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
                raise silent(self._guest)
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

    def take(self, entries: Iterable[TreeEntry], landing: Landing, to: CopyOutcome) -> bool:
        """Send a source; what the guest refuses is in ``to`` at the end. False when it takes no
        more, with ``entries`` read in part."""
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
                return False  # the end says why
            to.files += entry.kind is not EntryKind.DIRECTORY
        return True

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
        wait_for_end(
            self._guest, to, lambda line: line.replace(f"./{self._token}", self.target.path)
        )


def _too_big(size: int, free: int) -> BangerError:
    return BangerError(
        Code.NO_SPACE,
        f"{size // MIB} MiB to copy, but only {free // MIB} MiB free in the guest",
        hint="stop the VM and enlarge its disk: banger vm set --disk-size",
        details={"errno": "ENOSPC"},
    )
