"""What a new selection of files differs in from what was placed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from services.workspaces.placement.manifest import Line, blob_stamp, file_stamp
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
