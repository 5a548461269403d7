"""Commits as git keeps them: looked up by what a user calls them, and walked by their parents."""

import subprocess
from collections.abc import Iterator, Sequence
from typing import IO

from services.workspaces.repository.git_process import GitProcess, GitResult, git_error
from shared.errors import BangerError, Code
from shared.plain_text import printable

_AT_ONCE = 500
"""Requests that fit into a pipe before git reads one, so that writing never waits for reading."""
_MOST_HEADER = 1 << 16
"""Bytes of a commit that are looked at; the parents come first (git-cat-file(1))."""


def resolve_commit(git: GitProcess, revision: str) -> str:
    """The name of the commit that a revision means (gitrevisions(7)). Raises ``not_found``."""
    # In two steps, because a search for words (":/words") would take "^{commit}" for words too.
    found = git.attempt("rev-parse", "-q", "--verify", "--end-of-options", revision)
    if found.status == 0:
        commit = f"{found.stdout.decode().strip()}^{{commit}}"
        found = git.attempt("rev-parse", "-q", "--verify", commit)
    if found.status or not revision:
        place = printable(str(git.cwd), 400)
        raise BangerError(Code.NOT_FOUND, f"there is no commit {printable(revision)} in {place}")
    return found.stdout.decode().strip()


def existing(git: GitProcess, oids: Sequence[str]) -> list[str]:
    """Those of ``oids`` that the repository has."""
    if not oids:
        return []
    asked = "\n".join(oids).encode() + b"\n"
    answer = git.run("cat-file", "--batch-check=%(objecttype)", stdin=asked).splitlines()
    return [oid for oid, line in zip(oids, answer, strict=True) if b" " not in line]


def walk(
    git: GitProcess, tips: Sequence[str], depth: int, without_parents: frozenset[str]
) -> Iterator[tuple[str, bool]]:
    """Commits within ``depth`` of any tip, breadth first, each once.

    Yields each with whether it is a boundary: it has parents, and they are out of reach, by depth
    or because the repository is itself shallow at this commit (``without_parents``). Raises
    ``invalid`` for a commit that is missing.
    """
    seen = set(tips)
    level = list(seen)
    with git.start("cat-file", "--batch", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for left in range(depth, 0, -1):
                following: list[str] = []
                for oid, parents in _parents(git, level, process.stdin, process.stdout):
                    cut = bool(parents) and (left == 1 or oid in without_parents)
                    yield oid, cut
                    if not cut:
                        new = [parent for parent in parents if parent not in seen]
                        seen.update(new)
                        following += new
                level = following
        finally:
            process.kill()


def _parents(
    git: GitProcess, oids: Sequence[str], asking: IO[bytes], answers: IO[bytes]
) -> Iterator[tuple[str, list[str]]]:
    for start in range(0, len(oids), _AT_ONCE):
        some = oids[start : start + _AT_ONCE]
        asking.write("\n".join(some).encode() + b"\n")
        asking.flush()
        for oid in some:
            header = answers.readline().split()
            if len(header) != 3 or header[1] != b"commit":
                missing = GitResult(128, b"", f"missing commit {oid}".encode())
                raise git_error(missing, "cat-file", git.cwd)
            yield oid, _parents_of(answers, int(header[2]))


def _parents_of(answers: IO[bytes], size: int) -> list[str]:
    """Read one commit whole, and say what its header calls its parents."""
    text = answers.read(min(size, _MOST_HEADER))
    left = size - len(text) + 1
    while left > 0:
        left -= len(answers.read(min(left, _MOST_HEADER))) or left
    lines = text.partition(b"\n\n")[0].split(b"\n")[1:]
    found = []
    for line in lines:
        if not line.startswith(b"parent "):
            break
        found.append(line.removeprefix(b"parent ").decode())
    return found
