"""The guest's work as a series of commits on the commit that was prepared: what git-am(1) takes."""

import time
from dataclasses import dataclass

from services.workspaces.incoming.changes import changes_between, tree_of
from services.workspaces.incoming.fetch import GuestTree
from services.workspaces.incoming.gitlinks import keep_gitlinks
from services.workspaces.incoming.merge import commit_of, conflict
from services.workspaces.incoming.replay import committer_of, guest_commits, make_commit, replay

REST = b"Changes that were not committed in the guest\n"


@dataclass(frozen=True)
class CommitSeries:
    """Commits after ``base`` up to ``head``, of which ``commits`` were made in the guest; one more
    may hold what is not committed there."""

    base: str
    head: str
    commits: int


def commit_series(tree: GuestTree, against: str = "") -> CommitSeries:
    """The guest's commits, and one of the rest if there is any.

    ``against``: a tree that the series begins at, instead of the commit that was prepared.

    Raises what ``guest_commits`` does, and ``conflict`` when a commit does not fit on ``against``.
    """
    git, directory = tree.git, tree.directory
    base = commit_of(git, against) if against else tree.base
    base_tree = against or tree.base_tree
    done = replay(git, directory, base_tree, guest_commits(git, tree.base, tree.answer.head), base)
    if done.conflicts:
        raise conflict(done.conflicts)
    head = done.head
    last, _ = keep_gitlinks(git, directory, base_tree, tree.tree)
    if next(changes_between(git, tree_of(git, head), last, renames=False), None) is not None:
        user = committer_of(tree.host) if tree.host else b""
        user = user or b"banger <banger@localhost> %d +0000" % int(time.time())
        head = make_commit(git, last, head, [b"author " + user, b"committer " + user], REST)
    return CommitSeries(base, head, done.commits)
