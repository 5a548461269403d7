"""git writes the files of a merge into a staging directory, so that a full disk is found in time.

It is in the repository's git directory if that is on the file system of the work tree, else at its
top: its files get their names by rename(2). What a killed process has left is removed by the next.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.workspaces.applying.placing import StagedFiles, permitted, refusal
from services.workspaces.incoming.changes import EXECUTABLE, TreeChange, changes_between
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.git_process import GitProcess
from shared.errors import BangerError, Code
from shared.plain_text import printable

STAGING = "banger-apply-"
"""Begins the name of a staging directory; the process's number ends it."""
MOST_WRITTEN = 250_000
"""Files that one merge may change."""


@contextmanager
def staged_files(
    git: GitProcess, repository: Repository, old: str, new: str
) -> Iterator[StagedFiles]:
    """The files that turn tree ``old`` in the repository's work tree into tree ``new``.

    Raises ``too_large``, ``no_space``, ``denied``.
    """
    changes = _changes(git, old, new)
    staging = _staging_directory(repository)
    try:
        (staging / "new").mkdir()
        (staging / "old").mkdir()
        staged = StagedFiles(repository.top, staging, changes)
        _require_space(git, staged)
        write_files(git, new, staged)
        yield staged
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _changes(git: GitProcess, old: str, new: str) -> list[TreeChange]:
    changes = []
    for change in changes_between(git, old, new, renames=False):
        if change.of_repository:
            continue
        changes.append(change)
        if len(changes) > MOST_WRITTEN:
            raise BangerError(
                Code.TOO_LARGE,
                f"the guest has changed more than {MOST_WRITTEN} files",
                hint="export them: banger vm workspace export",
            )
    return changes


def _staging_directory(repository: Repository) -> Path:
    """A new one."""
    places = [repository.git_directory, repository.top]
    for place in places:
        for left in place.glob(f"{STAGING}*"):
            if _is_left(left.name.removeprefix(STAGING)):
                shutil.rmtree(left, ignore_errors=True)
    device = repository.top.stat().st_dev
    place = next(place for place in places if place.stat().st_dev == device)
    staging = place / f"{STAGING}{os.getpid()}"
    try:
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise refusal(error) from error
    return staging


def _is_left(process: str) -> bool:
    """Whether that process is gone; what has another name is not ours."""
    if not process.isdigit():
        return False
    if int(process) == os.getpid():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _require_space(git: GitProcess, staged: StagedFiles) -> None:
    oids = "".join(f"{change.oid}\n" for change in staged.written()).encode()
    sizes = git.run("cat-file", "--batch-check=%(objectsize)", stdin=oids)
    total = sum(map(int, sizes.split()))
    free = shutil.disk_usage(staged.staging).free
    if total > free:
        raise BangerError(
            Code.NO_SPACE,
            f"the changes of the guest take {total} bytes, and {free} are free "
            f"in {printable(str(staged.top))}",
            hint="free some space",
        )


def write_files(git: GitProcess, tree: str, staged: StagedFiles) -> None:
    """git writes the files of ``tree`` with its conversions, by the attributes that it holds."""
    new = staged.staging / "new"
    environment = {
        "GIT_WORK_TREE": str(new),
        "GIT_INDEX_FILE": str(staged.staging / "index"),
    }
    here = GitProcess(new, {**git.environment, **environment})
    here.run("-c", "core.sparseCheckout=false", "read-tree", tree)
    names = b"".join(change.path + b"\0" for change in staged.written())
    if names:
        here.run("checkout-index", "-z", "--stdin", "--force", stdin=names)
    for change in staged.written():
        _set_mode(staged, change)


def _set_mode(staged: StagedFiles, change: TreeChange) -> None:
    """Permissions as the file had them, or as a new one of the user gets them."""
    file = staged.new(change.path)
    if not stat.S_ISREG(file.lstat().st_mode):
        return
    mode = 0o666 & permitted(staged.top)
    with suppress(OSError):
        found = staged.place_of(change.path).lstat().st_mode
        if change.old_mode and stat.S_ISREG(found):
            mode = found & 0o666 | 0o600
    if change.mode == EXECUTABLE:
        mode |= (mode & 0o444) >> 2
    file.chmod(mode)
