"""How much history goes into a guest, and the pack that carries it.

As a shallow clone has it (git-clone(1), ``--depth``): the last commits of the one that is checked
out, with a boundary where parents are left out. A pack is made as upload-pack makes one, because a
bundle cannot tell of such a boundary: docs/decisions/0033-a-private-git-directory.md.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from services.workspaces.repository.commits import existing, walk
from services.workspaces.repository.git_process import memory_file
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.regular_file import read_start
from services.workspaces.repository.selection import Selection
from shared.errors import BangerError, Code
from shared.plain_text import printable

HISTORY_DEPTH = 10
"""Commits on the way from the tip to a boundary, both included."""
_MOST_SHALLOW = 64 << 20
"""Bytes of a repository's list of boundaries."""


@dataclass(frozen=True)
class History:
    tips: list[str]
    """Commits, and tags, from which everything is reached."""
    shallow: list[str]
    """Commits whose parents are left out."""
    refs: dict[str, str]
    """Full name and object of each tag, and with the full history of each branch. The branch that
    is checked out in the guest is not among them: its name may be another."""
    commits: int


def history(git: PrivateGit, selection: Selection, *, full: bool) -> History:
    """The history of ``selection.head``, which is not empty.

    Tags come along that name one of its commits; with ``full`` all tags, all branches and every
    commit that the host has. Raises ``invalid`` when objects are missing, as in a partial clone.
    """
    cut = _host_boundary(git)
    made = _full(git, selection.head, cut) if full else _last(git, selection.head, cut)
    if _is_partial(git):
        _require_all_objects(git, made)
    return made


def open_pack(
    git: PrivateGit, history: History, *, exclude: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """A git that writes the pack of a history to ``.stdout``; the caller waits for it.

    ``exclude``: commits that the guest has, with all that they reach up to ``history.shallow``;
    those that the host no longer has are passed over. No thin pack: it is complete by itself.
    """
    lines = [f"--shallow {oid}" for oid in history.shallow]
    lines += history.tips
    lines += ["--not", *existing(git, list(exclude)), ""]
    with memory_file("\n".join(lines).encode()) as asked:
        return git.start(
            # No file of boundaries counts but the lines that are asked for.
            *("--shallow-file", ""),
            *("pack-objects", "--revs", "--stdout", "--shallow", "--delta-base-offset", "-q"),
            stdin=asked.fileno(),
        )


def _last(git: PrivateGit, head: str, cut: frozenset[str]) -> History:
    commits: set[str] = set()
    shallow: list[str] = []
    for oid, boundary in walk(git, [head], HISTORY_DEPTH, cut):
        commits.add(oid)
        if boundary:
            shallow.append(oid)
    tags = {name: oid for name, (oid, peeled) in _refs(git, "--tags").items() if peeled in commits}
    return History([head, *_others(tags, head)], sorted(shallow), tags, len(commits))


def _full(git: PrivateGit, head: str, cut: frozenset[str]) -> History:
    refs = {name: oid for name, (oid, _) in _refs(git, "--heads", "--tags").items()}
    tips = [head, *_others(refs, head)]
    counted = git.run("rev-list", "--count", "--stdin", stdin="\n".join([*tips, ""]).encode())
    return History(tips, existing(git, sorted(cut)), refs, int(counted))


def _others(refs: dict[str, str], head: str) -> list[str]:
    return sorted(set(refs.values()) - {head})


def _refs(git: PrivateGit, *kinds: str) -> dict[str, tuple[str, str]]:
    """Refs with their object, and with what a tag is about in the end (git-show-ref(1))."""
    listed = git.attempt("show-ref", "-d", *kinds).stdout.decode(errors="surrogateescape")
    found: dict[str, tuple[str, str]] = {}
    for line in listed.splitlines():
        oid, _, name = line.partition(" ")
        if name.endswith("^{}"):
            name = name.removesuffix("^{}")
            found[name] = (found[name][0], oid)
        else:
            found[name] = (oid, oid)
    return found


def _host_boundary(git: PrivateGit) -> frozenset[str]:
    """The commits whose parents the host itself does not have."""
    try:
        text = read_start(git.git_directory / "shallow", _MOST_SHALLOW)
    except FileNotFoundError:
        return frozenset()
    return frozenset(text.decode(errors="replace").split())


def _is_partial(git: PrivateGit) -> bool:
    """Whether the host's repository may lack objects on purpose (gitformat-pack(5), promisor)."""
    names = git.configuration.names()
    return "extensions.partialclone" in names or any(
        name.startswith("remote.") and name.endswith((".promisor", ".partialclonefilter"))
        for name in names
    )


def _require_all_objects(git: PrivateGit, history: History) -> None:
    boundary = git.git_directory / "boundary"
    boundary.write_text("".join(f"{oid}\n" for oid in history.shallow))
    listed = git.run(
        *("--shallow-file", str(boundary)),
        *("rev-list", "--objects", "--missing=print", "--quiet", "--stdin"),
        stdin="\n".join([*history.tips, ""]).encode(),
    )
    missing = listed.count(b"?")
    if missing:
        raise BangerError(
            Code.INVALID,
            f"{printable(str(git.cwd), 400)} is a partial clone: {missing} objects of its history "
            "are not on this host",
            hint="fetch them all with: git fetch --refetch --no-filter",
        )
