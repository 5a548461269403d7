"""A later prepare, or a sync: only what changed on the host goes in, and nothing that the guest has
changed is overwritten unasked."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from services.workspaces.guest.failures import failure, refusal
from services.workspaces.guest.outgoing import OutgoingArchive
from services.workspaces.guest.placing import (
    OpenPack,
    broken_pipe_explained,
    counted,
    placed_commit,
    send_pack,
)
from services.workspaces.guest.scripts import UPDATE, busybox_argv
from services.workspaces.guest.send_progress import SendProgress
from services.workspaces.guest.session import GuestSession, too_much
from services.workspaces.guest.skeleton import OURS, path_list, raw_git_directory
from services.workspaces.guest.tar_stream import ArchiveMember, content
from services.workspaces.placement.changes import HostChanges
from services.workspaces.repository.selection import Selection
from services.workspaces.repository.work_tree import WorkTree
from shared.contract.messages.workspace import MOST_NAMED
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable

SHOWN = 5
"""Paths that the message of a conflict names."""
LONGEST_RECORD = 1 << 14


@dataclass(frozen=True)
class GuestState:
    """What update.sh says first; the empty string for what is not there."""

    prepared: str
    base: str
    commit: str
    incoming: str
    """Of an update that was cut off."""
    ref: str


@dataclass
class Update:
    """What is to change in one repository."""

    selection: Selection
    changes: HostChanges
    ref: str
    """The guest's branch afterwards, as refs/heads/…; empty for a detached HEAD."""
    open_pack: OpenPack | None
    """None when the guest has the commit."""
    shallow: Iterable[str] = ()
    unconverted: Callable[[OutgoingArchive], bytes] | None = None
    links: list[tuple[bytes, str]] = field(default_factory=list)
    """Submodules that were placed in it, and their commits."""
    links_gone: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Updated:
    """How an update ended."""

    prepared: str
    followed: bool
    """False: the guest has commits of its own, so its branch stayed, and only files changed."""
    archive: OutgoingArchive


class GuestRepository:
    """A repository that is in the guest. A context manager. As ``PlaceSession`` begun early."""

    def __init__(self, access: Access, path: str) -> None:
        self._path = path
        self._token = os.urandom(6).hex()
        self._session = GuestSession(access, busybox_argv(UPDATE, [path, self._token]))

    def __enter__(self) -> "GuestRepository":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__(None, None, None)

    @cached_property
    def state(self) -> GuestState | None:
        """What is there; None when nothing is.

        Raises ``conflict`` when there is something else, ``missing_tool``, ``lost``,
        ``guest_failed``.
        """
        word, *words = self._session.line().decode(errors="replace").split(" ")
        if word == "refused":
            if words == ["absent"]:
                return None
            raise refusal(words[0] if words else "", self._path)
        if word != "state" or len(words) != 5 or not all(map(_is_plain, words)):
            raise failure(self._session)
        return GuestState(*("" if each == "-" else each for each in words))

    def changed_too(
        self, changes: HostChanges, raw: dict[bytes, str]
    ) -> dict[bytes, tuple[int, str]]:
        """The paths of ``changes`` that the guest has changed since they were placed, with the
        mode and blob that they have there; 0 and "" for a file that is gone.

        ``raw``: the object names of files that were sent with bytes that git converts. A file that
        an update that was cut off has placed or removed is not the guest's change.
        """
        listed = path_list(changes.paths())
        with broken_pipe_explained(self._session):
            self._session.stdin.write(b"check %d\n" % len(listed))
            self._session.stdin.write(listed)
        most = len(changes.paths())
        changed = dict(self._records(most))
        assert self.state is not None
        if self.state.incoming:
            also = dict(self._records(most + len(changed)))
            changed = {path: new for path, new in changed.items() if path in also and new[1]}
        return {path: new for path, new in sorted(changed.items()) if new[1] != raw.get(path)}

    def update(
        self, update: Update, tree: WorkTree, progress: SendProgress, forced: Iterable[bytes]
    ) -> Updated:
        """Bring the repository up to date. ``forced``: changes of the guest's to be overwritten."""
        selection = update.selection
        prefix = OURS + b"incoming-%s/" % self._token.encode()
        archive = OutgoingArchive(
            tree,
            update.changes.sent,
            prefix + b"files/",
            hashed=[entry.path for entry in selection.unconverted],
            object_format=selection.repository.object_format,
        )
        removed = sorted({*update.changes.removed, *forced})

        def members() -> list[ArchiveMember]:
            return list(_members(update, archive, removed, prefix))

        words = (archive.length(members()), bool(forced), selection.head or "-", update.ref or "-")
        with broken_pipe_explained(self._session):
            self._session.stdin.write(os.fsencode("update {} {:d} {} {}\n".format(*words)))
            write = counted(self._session, progress)
            if archive.files:
                progress.stage("overlay")
            archive.write_files(write)
            archive.write_members(members(), write)
            if update.open_pack:
                progress.stage("history")
                send_pack(update.open_pack(), write)
            self._session.stdin.close()
        prepared, *way = placed_commit(self._session, progress)
        return Updated(prepared, way == ["followed"], archive)

    def _records(self, most: int) -> Iterator[tuple[bytes, tuple[int, str]]]:
        """Path, new mode and new object name of each record of ``git diff-index --raw -z``."""
        for _ in range(most + 1):
            facts = self._word()
            if facts == b".":
                return
            words = facts.decode(errors="replace").split(" ")
            if len(words) != 5 or not facts.startswith(b":"):
                raise failure(self._session)
            yield self._word(), (_mode(words[1]), words[3] if words[3].strip("0") else "")
        raise too_much()

    def _word(self) -> bytes:
        """What precedes the next NUL."""
        found = bytearray()
        while (byte := self._session.stdout.read(1)) != b"\0":
            found += byte
            if not byte:
                raise _unreadable_path(failure(self._session))
            if len(found) > LONGEST_RECORD:
                raise too_much()
        return bytes(found)


def _mode(word: str) -> int:
    return int(word, 8) if len(word) == 6 and word.isdigit() and set(word) < set("01234567") else 0


def _is_plain(word: str) -> bool:
    return 0 < len(word) <= 1024 and word.isprintable()


def conflict_error(paths: list[bytes], guest_path: str) -> BangerError:
    """The guest changed files that the host changed too."""
    names = [printable(os.fsdecode(path), 400) for path in paths]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return BangerError(
        Code.CONFLICT,
        f"the guest has changed what would be overwritten in {printable(guest_path)}: "
        f"{', '.join(names[:SHOWN])}{more}",
        hint="take its changes out first, or overwrite them with --force",
        details={"paths": names[:MOST_NAMED]},
    )


def _unreadable_path(error: BangerError) -> BangerError:
    """git in the guest stops at a directory, or at a symlink, where a file was placed."""
    if "is a directory" in error.message or "beyond a symbolic link" in error.message:
        return BangerError(
            Code.CONFLICT,
            error.message.replace("did not take the repository", "has put something else there"),
            hint="take its changes out first, and remove what is in the way",
        )
    return error


def _members(
    update: Update, archive: OutgoingArchive, removed: list[bytes], prefix: bytes
) -> Iterator[ArchiveMember]:
    selection, changes = update.selection, update.changes
    lists = prefix + b"lists/"
    raw = {entry.path for entry in selection.unconverted}
    track = [entry.path for entry in changes.sent if entry.path not in raw]
    yield content(lists + b"entries", b"".join(_entries(update)))
    yield content(lists + b"track", path_list(track))
    yield content(lists + b"checkout", path_list([entry.path for entry in changes.checked_out]))
    yield content(lists + b"gone", path_list(removed))
    yield content(lists + b"emptied", path_list(_emptied(selection, changes.removed)))
    if selection.sparse:
        yield content(lists + b"sparse", path_list(selection.sparse))
    if update.unconverted is not None:
        yield content(lists + b"unconverted.new", update.unconverted(archive))
    if update.open_pack:
        yield content(lists + b"pack", b"")
        if shallow := sorted(update.shallow):
            yield content(lists + b"shallow", "".join(f"{oid}\n" for oid in shallow).encode())
    yield from raw_git_directory(prefix + b"git/", selection.repository.object_format)
    yield content(prefix + b"end", b"")


def _entries(update: Update) -> Iterator[bytes]:
    """Changes of the index that need no file, for ``git update-index -z --index-info``."""
    selection, changes = update.selection, update.changes
    none = "0" * (64 if selection.repository.object_format == "sha256" else 40)
    for path in (*changes.removed, *update.links_gone):
        yield b"0 %s\t%s\0" % (none.encode(), path)
    sent = {entry.path for entry in changes.sent}
    pointers = [entry for entry in selection.unconverted if entry.path in sent]
    for entry in (*changes.checked_out, *pointers):
        yield b"%o %s\t%s\0" % (entry.mode, entry.oid.encode(), entry.path)
    for path, commit in update.links:
        yield b"160000 %s\t%s\0" % (commit.encode(), path)


def _emptied(selection: Selection, removed: list[bytes]) -> list[bytes]:
    """Directories that hold nothing of the selection any more, the deepest first."""
    if not removed:
        return []
    kept: set[bytes] = set()
    for entry in (*selection.checkout, *selection.overlay):
        _add_parents(entry.path, kept)
    for module in selection.submodules:
        kept.add(module.path)
        _add_parents(module.path, kept)
    gone: set[bytes] = set()
    for path in removed:
        _add_parents(path, gone)
    return sorted(gone - kept, key=lambda path: (-path.count(b"/"), path))


def _add_parents(path: bytes, to: set[bytes]) -> None:
    while (cut := path.rfind(b"/")) > 0:
        path = path[:cut]
        if path in to:
            return
        to.add(path)
