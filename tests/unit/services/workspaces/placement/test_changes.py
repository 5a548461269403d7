"""A new selection against what was placed."""

from pathlib import Path

from services.workspaces.placement.changes import HostChanges, host_changes, stamped
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.selection import Entry, Selection
from services.workspaces.repository.work_tree import WorkTree
from tests.repositories.making import write


def selection(top: Path, checkout: list[str], overlay: list[str]) -> Selection:
    made = Selection(Repository(top, top, top))
    made.checkout = [Entry(name.encode(), 0o100644, f"oid of {name}") for name in checkout]
    made.overlay = [Entry(name.encode(), 0o100644, "") for name in overlay]
    return made


def compare(top: Path, old: Selection, new: Selection, *again: bytes) -> HostChanges:
    with WorkTree(top) as tree:
        placed = [(entry.path, stamp) for entry, stamp, _ in stamped(old, tree)]
        return host_changes(placed, new, tree, frozenset(again))


def names(changes: HostChanges) -> tuple[list[bytes], list[bytes], list[bytes]]:
    sent = [entry.path for entry in changes.sent]
    return sent, [entry.path for entry in changes.checked_out], changes.removed


def test_nothing(tmp_path: Path) -> None:
    write(tmp_path, "edited")
    same = selection(tmp_path, ["b", "a"], ["edited"])
    changes = compare(tmp_path, same, same)
    assert not changes
    assert changes.paths() == []


def test_each_way_to_change(tmp_path: Path) -> None:
    for name in ("edited", "new edit", "stays"):
        write(tmp_path, name)
    old = selection(tmp_path, ["gone", "kept", "edited"], ["stays", "taken back"])
    new = selection(tmp_path, ["kept", "taken back", "new"], ["edited", "stays", "new edit"])
    changes = compare(tmp_path, old, new)
    assert names(changes) == ([b"edited", b"new edit"], [b"new", b"taken back"], [b"gone"])
    assert changes.added == {b"new", b"new edit"}
    assert changes.paths() == [b"edited", b"gone", b"new", b"new edit", b"taken back"]


def test_what_an_update_was_to_change_counts_as_changed(tmp_path: Path) -> None:
    same = selection(tmp_path, ["a", "b"], [])
    changes = compare(tmp_path, same, same, b"a", b"not selected any more")
    assert names(changes) == ([], [b"a"], [b"not selected any more"])
