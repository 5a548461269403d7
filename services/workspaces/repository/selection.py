"""Which files of a repository go into a guest, and in which way.

git decides: its index says what is tracked, its comparison with the work tree what is modified, its
rules of exclusion what is ignored. A file that is not modified is not read. The copy of the index
in the private git directory is changed where the user has told git not to look at files.
"""

import os
import stat
from dataclasses import dataclass, field

from services.workspaces.repository.conversion import (
    blob_sizes,
    has_bytes_of,
    unmodified_pointers,
)
from services.workspaces.repository.discovery import Repository as Repository
from services.workspaces.repository.git_process import GitResult, git_error
from services.workspaces.repository.listing import GITLINK, SYMLINK, Tracked
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.submodules import is_initialised, repository_of
from services.workspaces.repository.survey import Survey, survey
from services.workspaces.repository.work_tree import WorkTree
from shared.errors import BangerError, Code
from shared.plain_text import printable

REGULAR, EXECUTABLE = 0o100644, 0o100755


@dataclass(frozen=True, slots=True)
class Entry:
    """One selected file."""

    path: bytes
    """Below the repository's top level, with slashes."""
    mode: int
    """0o100644, 0o100755 or 0o120000."""
    oid: str
    """Of the blob in the index; empty for a file that is untracked, in conflict, or in the place of
    a submodule."""


@dataclass
class Submodule:
    """One that is initialised. ``git`` reads it, as the one around it is read."""

    path: bytes
    """Below the top level of the repository around it."""
    oid: str
    """The commit that the index around it names; ``selection.head`` is what is checked out."""
    selection: "Selection"
    git: PrivateGit


@dataclass
class Selection:
    """Of one repository; its submodules have their own. Lists are in the order of paths."""

    repository: Repository
    head: str = ""
    """The commit that the guest starts from; empty without one."""
    branch: str = ""
    """The short name of the branch that is checked out; empty when HEAD is detached."""
    checkout: list[Entry] = field(default_factory=list)
    """Files whose bytes are those of a blob in the tree of ``head``: checked out in the guest."""
    overlay: list[Entry] = field(default_factory=list)
    """All other files: sent as they are in the work tree."""
    absent: list[bytes] = field(default_factory=list)
    """In the tree of ``head``, and not among the files."""
    sparse: list[bytes] = field(default_factory=list)
    """Not in the work tree because the checkout is sparse: no deletions."""
    unconverted: list[Entry] = field(default_factory=list)
    """Those of ``overlay`` that git takes for unmodified, although a filter such as Git LFS made
    other bytes of them; ``oid`` is the blob of ``head``."""
    overlay_bytes: int = 0
    """What the files of ``overlay`` hold."""
    untracked: int = 0
    """Untracked files that are left out."""
    skipped: list[str] = field(default_factory=list)
    """Sentences about what cannot go in."""
    submodules: list[Submodule] = field(default_factory=list)
    uninitialised: list[bytes] = field(default_factory=list)
    """Submodules that the work tree does not have."""


def select(git: PrivateGit, *, include_untracked: bool, base: str = "") -> Selection:
    """What is to be in the guest, compared with commit ``base``, or with HEAD.

    Raises ``denied`` for a file or directory that this user cannot read, and ``invalid`` for a
    repository that lacks objects.
    """
    selection = Selection(git.repository, head=base or head_of(git), branch=branch_of(git))
    with WorkTree(git.repository.top) as files:
        found = survey(git, files, selection.head, all_untracked=include_untracked)
        _sort_out(git, files, found, selection)
        if include_untracked:
            _take_untracked(git, files, found, selection)
        else:
            selection.untracked = sum(not path.endswith(b"/") for path in found.untracked)
        for entries in (selection.overlay, selection.unconverted):
            entries.sort(key=lambda entry: entry.path)
        _find_absent(found, selection)
        _refuse_unreadable(files, selection)
        _add_submodules(git, files, found, include_untracked, selection)
    return selection


def head_of(git: PrivateGit) -> str:
    """The commit that is checked out; empty in a repository without one.

    Raises ``invalid`` when HEAD names a commit that is missing.
    """
    found = git.attempt("rev-parse", "-q", "--verify", "HEAD^{commit}")
    if found.status and (named := git.attempt("rev-parse", "-q", "--verify", "HEAD").stdout):
        missing = GitResult(128, b"", b"missing commit " + named)
        raise git_error(missing, "rev-parse", git.cwd)
    return found.stdout.decode().strip()


def branch_of(git: PrivateGit) -> str:
    """The short name of the branch that HEAD names, which need not have a commit yet."""
    if not git.head.startswith(b"ref: refs/heads/"):
        return ""
    return os.fsdecode(git.head.removeprefix(b"ref: refs/heads/"))


def _sort_out(git: PrivateGit, files: WorkTree, found: Survey, selection: Selection) -> None:
    """Each tracked file into ``checkout``, ``overlay`` or ``sparse``; what is gone into none."""
    unmodified, others = [], []
    in_conflict = None
    for one in found.tracked:
        if one.path == in_conflict or (one.mode == GITLINK and not _is_replaced(files, one.path)):
            continue
        in_conflict = one.path if one.stage != b"0" else None
        if one.tag in b"Ss":
            selection.sparse.append(one.path)
        elif one.stage == b"0" and one.mode != GITLINK and one.path not in found.modified:
            unmodified.append(one)
        else:
            others.append(one)
    candidates = (
        (one.path, one.oid)
        for one in others
        if one.path in found.convertible and found.as_in_commit(one.path)
    )
    pointers = unmodified_pointers(git, files, candidates)
    overlay = _Overlay(git, files, selection)
    _sort_unmodified(git, files, unmodified, found, overlay)
    for one in others:
        overlay.add(one, unconverted=one.path in pointers)


def _is_replaced(files: WorkTree, path: bytes) -> bool:
    """Whether a file or a symlink is where the index has a submodule."""
    state = files.lstat(path)
    return state is not None and not stat.S_ISDIR(state.st_mode)


def _sort_unmodified(
    git: PrivateGit,
    files: WorkTree,
    unmodified: list[Tracked],
    found: Survey,
    overlay: "_Overlay",
) -> None:
    """Files that git takes for unmodified; they are sent when they are not, byte for byte."""
    sizes = blob_sizes(git, [one.oid for one in unmodified])
    algorithm = git.repository.object_format
    for one, size in zip(unmodified, sizes, strict=True):
        state = files.lstat(one.path)
        if state is None:
            continue
        equal = state.st_size == size and (
            one.path not in found.convertible
            or not stat.S_ISREG(state.st_mode)
            or has_bytes_of(files, one.path, one.oid, size, algorithm)
        )
        committed = found.as_in_commit(one.path)
        if equal and committed:
            overlay.selection.checkout.append(Entry(one.path, one.mode, one.oid))
        else:
            overlay.add(one, unconverted=committed and not equal)


class _Overlay:
    """Adds files to a selection as they are in the work tree."""

    def __init__(self, git: PrivateGit, files: WorkTree, selection: Selection) -> None:
        self.selection = selection
        self._files = files
        self._trust_mode = git.configuration.flag("core.filemode", True)

    def add(self, one: Tracked, *, unconverted: bool = False) -> None:
        """A tracked file, unless it is gone."""
        state = self._files.lstat(one.path)
        if state is None or stat.S_ISDIR(state.st_mode):
            return
        oid = one.oid if one.stage == b"0" and one.mode != GITLINK else ""
        entry = self._add(one.path, state, oid, executable=one.mode == EXECUTABLE)
        if entry and unconverted:
            self.selection.unconverted.append(entry)

    def add_untracked(self, path: bytes) -> None:
        state = self._files.lstat(path)
        if state is not None:
            self._add(path, state, "", executable=False)

    def _add(
        self, path: bytes, state: os.stat_result, oid: str, *, executable: bool
    ) -> Entry | None:
        """``executable``: what the index says, which counts where core.filemode is off."""
        if stat.S_ISLNK(state.st_mode):
            mode = SYMLINK
        elif stat.S_ISREG(state.st_mode):
            if self._trust_mode:
                executable = bool(state.st_mode & stat.S_IXUSR)
            mode = EXECUTABLE if executable else REGULAR
        else:
            self.selection.skipped.append(f"{_shown(path)} is left out: it is no regular file")
            return None
        entry = Entry(path, mode, oid)
        self.selection.overlay.append(entry)
        self.selection.overlay_bytes += state.st_size
        return entry


def _take_untracked(git: PrivateGit, files: WorkTree, found: Survey, selection: Selection) -> None:
    overlay = _Overlay(git, files, selection)
    for path in found.untracked:
        if path.endswith(b"/"):
            selection.skipped.append(f"{_shown(path)} is left out: it is a repository of its own")
        else:
            overlay.add_untracked(path)


def _find_absent(found: Survey, selection: Selection) -> None:
    """What the commit has, and neither the files nor a sparse checkout."""
    kept = {entry.path for entry in selection.checkout}
    kept.update(entry.path for entry in selection.overlay)
    kept.update(selection.sparse)
    absent = {
        one.path
        for one in found.tracked
        if one.path not in kept and one.mode != GITLINK and found.in_commit(one.path)
    }
    for path, change in (found.staged or {}).items():
        gone = change.new_mode == 0 or (change.new_mode == GITLINK != change.old_mode)
        if gone and change.old_mode and path not in kept:
            absent.add(path)
    selection.absent = sorted(absent)


def _refuse_unreadable(files: WorkTree, selection: Selection) -> None:
    closed = [
        entry.path
        for entry in selection.overlay
        if entry.mode != SYMLINK and not files.may_read(entry.path)
    ]
    if closed:
        more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
        place = printable(str(files.top / os.fsdecode(closed[0])), 400)
        raise BangerError(
            Code.DENIED,
            f"this user may not read {place}{more}",
            hint="make the files readable, or have git ignore them",
        )


def _add_submodules(
    git: PrivateGit, files: WorkTree, found: Survey, include_untracked: bool, selection: Selection
) -> None:
    oids: dict[bytes, str] = {}
    for one in found.tracked:
        if one.mode == GITLINK and one.tag not in b"Ss" and not _is_replaced(files, one.path):
            oids[one.path] = one.oid if one.stage == b"0" else ""
    for number, (path, oid) in enumerate(oids.items()):
        if not is_initialised(files, path):
            selection.uninitialised.append(path)
            continue
        repository = repository_of(git.repository, path)
        if isinstance(repository, str):
            selection.skipped.append(repository)
            continue
        place = git.git_directory / "modules" / str(number)
        place.parent.mkdir(exist_ok=True)
        inner = PrivateGit(repository, place)
        chosen = select(inner, include_untracked=include_untracked)
        selection.submodules.append(Submodule(path, oid, chosen, inner))


def _shown(path: bytes) -> str:
    return printable(os.fsdecode(path), 200)
