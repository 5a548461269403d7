"""Commits made in a guest, made again on a commit of the host, in the quarantine.

Each is replayed as git-cherry-pick(1) would: a three-way merge of what it changed against its first
parent. A merge made in the guest so becomes one commit. Author, author's date, message and encoding
are kept as they are, byte by byte; the committer is the host's user.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.workspaces.incoming.changes import tree_of
from services.workspaces.incoming.gitlinks import keep_gitlinks
from services.workspaces.incoming.merge import merge_trees
from services.workspaces.repository.git_process import GitProcess
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code

MOST_COMMITS = 2000
LARGEST_COMMIT = 1 << 20
"""Bytes of a commit's headers and message."""
_UNFIT = re.compile(rb"[\0\n<>]")


@dataclass(frozen=True)
class Replayed:
    """``head`` ends the new commits; it is where they began when there are none."""

    head: str
    commits: int
    conflicts: Sequence[bytes] = ()


def guest_commits(git: GitProcess, base: str, head: str) -> list[str]:
    """First parents from ``head`` back to ``base``, the oldest first.

    Raises ``conflict`` when the branch does not hold ``base`` any more, ``too_large`` for more than
    ``MOST_COMMITS``.
    """
    if not head:
        return []
    chain = git.run("rev-list", "--first-parent", f"--max-count={MOST_COMMITS + 1}", head)
    commits = chain.decode().split()
    if base in commits:
        commits = commits[: commits.index(base)]
    elif len(commits) <= MOST_COMMITS and base:
        raise BangerError(
            Code.CONFLICT,
            "the branch in the guest does not hold the commit any more that was prepared",
            hint="take its changes without the commits",
        )
    if len(commits) > MOST_COMMITS:
        raise BangerError(
            Code.TOO_LARGE,
            f"the guest has made more than {MOST_COMMITS} commits",
            hint="take its changes without the commits",
        )
    return commits[::-1]


def replay(
    git: GitProcess,
    directory: Path,
    base_tree: str,
    commits: Sequence[str],
    onto: str,
    committer: bytes = b"",
) -> Replayed:
    """Make ``commits`` again on ``onto``, a commit or "". Those that change nothing there any more
    are left out.

    Gitlinks stay as in ``base_tree``. ``committer``: "NAME <EMAIL> TIME ZONE"; empty: each
    commit's own. ``conflicts`` are the paths of the first commit that does not fit.
    """
    head, made = onto, 0
    ours = tree_of(git, onto)
    before = ""
    for commit in commits:
        raw = _read(git, commit)
        parents = [line.split(b" ")[1].decode() for line in raw.headers if _is(line, b"parent")]
        if parents and before == "":
            before, _ = keep_gitlinks(git, directory, base_tree, tree_of(git, parents[0]))
        after, _ = keep_gitlinks(git, directory, base_tree, tree_of(git, commit))
        before = before or tree_of(git, "")
        merged = merge_trees(git, before, ours, after)
        if merged.conflicts:
            return Replayed(head, made, merged.conflicts)
        if merged.tree != ours or before == after:
            head = _again(git, raw, merged.tree, head, committer)
            made += 1
        before, ours = after, merged.tree
    return Replayed(head, made)


def committer_of(git: PrivateGit) -> bytes:
    """The user of the host's repository, and the time; empty when git does not know the name."""
    name, email = (
        _UNFIT.sub(b"", (git.configuration.get(f"user.{what}") or "").encode(errors="replace"))
        for what in ("name", "email")
    )
    if not name or not email:
        return b""
    now = time.localtime()
    return b"%s <%s> %d %s" % (name, email, time.mktime(now), time.strftime("%z", now).encode())


@dataclass(frozen=True)
class _Commit:
    headers: list[bytes]
    message: bytes


def _read(git: GitProcess, commit: str) -> _Commit:
    size = int(git.run("cat-file", "-s", commit))
    if size > LARGEST_COMMIT:
        raise BangerError(Code.TOO_LARGE, f"the commit {commit[:12]} of the guest is too large")
    headers, _, message = git.run("cat-file", "commit", commit).partition(b"\n\n")
    return _Commit(headers.split(b"\n"), message)


def _again(git: GitProcess, commit: _Commit, tree: str, parent: str, committer: bytes) -> str:
    kept = {line.split(b" ")[0]: line for line in commit.headers if line[:1] != b" "}
    lines = [kept[b"author"], b"committer " + committer if committer else kept[b"committer"]]
    if b"encoding" in kept:
        lines.append(kept[b"encoding"])
    return make_commit(git, tree, parent, lines, commit.message)


def make_commit(
    git: GitProcess, tree: str, parent: str, lines: Sequence[bytes], message: bytes
) -> str:
    """A commit object: tree, parent ("" for none), author, committer, perhaps an encoding."""
    parents = [b"parent " + parent.encode()] if parent else []
    headers = b"\n".join([b"tree " + tree.encode(), *parents, *lines])
    content = headers + b"\n\n" + message
    made = git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=content)
    return made.decode().strip()


def _is(line: bytes, key: bytes) -> bool:
    return line.startswith(key + b" ")
