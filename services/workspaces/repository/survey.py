"""What git says of a repository's files, before anything is decided."""

import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.workspaces.repository.conversion import with_conversion
from services.workspaces.repository.git_process import GitProcess
from services.workspaces.repository.listing import (
    GITLINK,
    RawChange,
    Tracked,
    change_flags,
    index_changes,
    list_tracked,
    list_untracked,
    refresh,
    work_tree_changes,
)
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from shared.plain_text import printable

PATTERN_FILES = (b".gitattributes", b".gitignore")


@dataclass
class Survey:
    """What git lists."""

    tracked: list[Tracked]
    modified: dict[bytes, RawChange]
    """By path: the work tree is not what the index has."""
    staged: dict[bytes, RawChange] | None
    """By path: the index is not what the commit has; None when there is no commit."""
    convertible: set[bytes]
    untracked: list[bytes]

    def in_commit(self, path: bytes) -> bool:
        """Whether the commit has a path of the index."""
        if self.staged is None:
            return False
        change = self.staged.get(path)
        return change is None or change.old_mode != 0

    def as_in_commit(self, path: bytes) -> bool:
        """Whether the index has the blob and the mode of the commit."""
        return self.staged is not None and path not in self.staged


def survey(git: GitProcess, files: WorkTree, commit: str, *, all_untracked: bool) -> Survey:
    """Ask git, several questions at a time. The copy of the index may change.

    ``commit`` is empty where there is none. ``all_untracked``: see ``list_untracked``.
    """
    tracked = list_tracked(git)
    _refuse_special_files(files, tracked)
    with ThreadPoolExecutor(4) as pool:
        modified = pool.submit(work_tree_changes, git)
        staged = pool.submit(index_changes, git, commit) if commit else None
        untracked = pool.submit(list_untracked, git, all_needed=all_untracked)
        convertible = pool.submit(with_conversion, git)
        found = Survey(
            tracked,
            modified.result(),
            staged.result() if staged else None,
            convertible.result(),
            untracked.result(),
        )
    unseen = _make_git_look(git, files, found.tracked)
    if unseen or any(change.old_mode == change.new_mode for change in found.modified.values()):
        refresh(git)
        found.modified = work_tree_changes(git)
    if unseen:
        found.tracked = list_tracked(git)
    return found


def _refuse_special_files(files: WorkTree, tracked: Iterable[Tracked]) -> None:
    """Refuse a FIFO that git would read patterns from, because git would wait for ever."""
    directories = {one.path.rpartition(b"/")[0] for one in tracked if one.tag not in b"Ss"}
    for directory in sorted({b"", *directories}):
        for name in PATTERN_FILES:
            path = directory + b"/" + name if directory else name
            state = files.lstat(path)
            if state is not None and not _is_ordinary(state.st_mode):
                place = printable(str(files.top / os.fsdecode(path)), 400)
                raise BangerError(
                    Code.INVALID, f"{place} is no regular file, and git would wait for it"
                )


def _is_ordinary(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)


def _make_git_look(git: GitProcess, files: WorkTree, tracked: Iterable[Tracked]) -> bool:
    """Clear the bits, in the copy of the index, by which a user keeps git from looking at files.

    ``update-index --assume-unchanged`` and ``--skip-worktree`` are used to keep local edits. What
    is in the work tree is what goes in. The bit stays where a sparse checkout has no file.
    """
    assumed = [one.path for one in tracked if one.tag.islower()]
    present = [
        one.path
        for one in tracked
        if one.tag in b"Ss" and one.mode != GITLINK and files.lstat(one.path) is not None
    ]
    if assumed:
        change_flags(git, "--no-assume-unchanged", assumed)
    if present:
        change_flags(git, "--no-skip-worktree", present)
    return bool(assumed or present)
