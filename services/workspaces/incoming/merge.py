"""A three-way merge of trees by git-merge-tree(1), without a work tree and without an index.

It is the merge of ``git merge``: by lines, with renames, and with the attributes of the repository.
Merge drivers of its configuration are not known in the private git directory, so none runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.workspaces.incoming.changes import readable
from services.workspaces.repository.git_process import GitProcess, git_error
from shared.contract.messages.workspace import MOST_NAMED
from shared.errors import BangerError, Code

_NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "banger"), ("EMAIL", "banger"), ("DATE", "@0 +0000"))
}


@dataclass(frozen=True)
class Merged:
    """``tree`` is whole only when there are no ``conflicts``: paths, each named once."""

    tree: str
    conflicts: Sequence[bytes] = ()


def merge_trees(git: GitProcess, base: str, ours: str, theirs: str) -> Merged:
    """What ``ours`` becomes when it takes what turned ``base`` into ``theirs``.

    Raises ``incompatible`` where git is older than 2.38, and what a failed git means.
    """
    if theirs in (base, ours):
        return Merged(ours)
    if ours == base:
        return Merged(theirs)
    root = commit_of(git, base)
    sides = [commit_of(git, tree, root) for tree in (ours, theirs)]
    done = git.attempt("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", *sides)
    if done.status == 129:
        raise BangerError(
            Code.INCOMPATIBLE,
            "git on this host cannot merge trees",
            hint="install git 2.38 or newer, or export a patch",
        )
    if done.status not in (0, 1):
        raise git_error(done, "merge-tree", git.cwd)
    tree, *paths = done.stdout.split(b"\0")
    conflicts = sorted({path for path in paths if path})
    if done.status and not conflicts:
        raise git_error(done, "merge-tree", git.cwd)
    return Merged(tree.decode(), conflicts)


def commit_of(git: GitProcess, tree: str, *parents: str) -> str:
    """A commit by nobody, which git-merge-tree needs around a tree."""
    options = [word for parent in parents for word in ("-p", parent)]
    made = git.run("commit-tree", tree, *options, "-m", "tree", environment=_NOBODY)
    return made.decode().strip()


def conflict(paths: Sequence[bytes], prefix: bytes = b"") -> BangerError:
    """The refusal that names the files which do not go together."""
    names = [readable(prefix + path) for path in paths]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return BangerError(
        Code.CONFLICT,
        f"changes of the guest and of the host do not go together: {shown}",
        hint="nothing was changed; export a patch, or apply to a worktree beside yours",
        details={"paths": names[:MOST_NAMED], "more": max(0, len(names) - MOST_NAMED)},
    )
