"""What a new selection of files differs in from what was placed."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from services.workspaces.placement.manifest import Line, blob_stamp, file_stamp
from services.workspaces.repository.conversion import has_bytes_of
from services.workspaces.repository.selection import Entry, Selection
from services.workspaces.repository.work_tree import WorkTree


@dataclass
class HostChanges:
    """Since a workspace was placed. The lists are sorted by path."""

    sent: list[Entry] = field(default_factory=list)
    """Files of the work tree with a content of their own: sent as they are."""
    checked_out: list[Entry] = field(default_factory=list)
    """Files whose content is a blob of the commit: the guest's git writes them."""
    removed: list[bytes] = field(default_factory=list)
    added: set[bytes] = field(default_factory=set)
    """Those of the other two that had not been placed."""

    def paths(self) -> list[bytes]:
        """All of them."""
        entries = (*self.sent, *self.checked_out)
        return sorted([*(entry.path for entry in entries), *self.removed])

    def __bool__(self) -> bool:
        return bool(self.sent or self.checked_out or self.removed)


def stamped(selection: Selection, tree: WorkTree) -> Iterator[tuple[Entry, bytes, bool]]:
    """Each selected file, its stamp, and whether it is sent as a file; sorted by path."""
    sent = {entry.path for entry in selection.overlay}
    entries = sorted([*selection.checkout, *selection.overlay], key=lambda entry: entry.path)
    for entry in entries:
        if entry.path in sent:
            found = tree.lstat(entry.path)
            yield entry, file_stamp(found, entry.mode) if found else b"absent", True
        else:
            yield entry, blob_stamp(entry.mode, entry.oid), False


def host_changes(
    placed: Iterable[Line], selection: Selection, tree: WorkTree, again: frozenset[bytes]
) -> HostChanges:
    """Compare ``placed``, the lines of a ``Manifest``, with the selection.

    ``again``: paths that count as changed.
    """
    changes = HostChanges()
    before = iter(placed)
    line = next(before, None)
    for entry, stamp, sent in stamped(selection, tree):
        while line and line[0] < entry.path:
            changes.removed.append(line[0])
            line = next(before, None)
        is_known = line is not None and line[0] == entry.path
        if is_known and line is not None:
            same = line[1] == stamp and entry.path not in again
            line = next(before, None)
            if same:
                continue
        else:
            changes.added.add(entry.path)
        (changes.sent if sent else changes.checked_out).append(entry)
    while line:
        changes.removed.append(line[0])
        line = next(before, None)
    # Of an update that was cut off, which may have placed what is not selected any more.
    gone = again - {entry.path for entry in (*selection.checkout, *selection.overlay)}
    changes.removed = sorted({*changes.removed, *gone})
    return changes


def differing(
    changes: HostChanges, guest: Mapping[bytes, tuple[int, str]], tree: WorkTree, algorithm: str
) -> Iterator[bytes]:
    """The paths of ``guest`` that would get another content from the host than they have there.

    After an apply both sides have changed a file to the same. ``guest``: mode and blob of each of
    those ``changes`` that the guest has changed too, 0 and "" for a file that is gone.
    """
    entries = {entry.path: entry for entry in changes.checked_out}
    sent = {entry.path: entry for entry in changes.sent}
    for path, (mode, oid) in guest.items():
        if path in entries:
            same = (entries[path].mode, entries[path].oid) == (mode, oid)
        elif path in sent:
            same = sent[path].mode == mode and _has_content(tree, sent[path], oid, algorithm)
        else:
            same = not oid
        if not same:
            yield path


def _has_content(tree: WorkTree, entry: Entry, oid: str, algorithm: str) -> bool:
    """Whether the file, or the target of the symlink, is the blob."""
    if entry.mode == 0o120000:
        target = tree.readlink(entry.path)
        return hashlib.new(algorithm, b"blob %d\0%s" % (len(target), target)).hexdigest() == oid
    found = tree.lstat(entry.path)
    return found is not None and has_bytes_of(tree, entry.path, oid, found.st_size, algorithm)
