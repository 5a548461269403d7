"""What differs between two trees, as git-diff-tree(1) says it in its raw format."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import IO

from services.workspaces.repository.git_process import GitProcess, GitResult, git_error
from shared.contract.messages.workspace import MOST_NAMED, Change, ChangeKind
from shared.errors import BangerError, Code
from shared.plain_text import printable

GITLINK = 0o160000
SYMLINK = 0o120000
EXECUTABLE = 0o100755
MOST_CHARACTERS = 1024
"""Of a name in an answer."""
LONGEST_PATH = 1 << 16
PIECE = 1 << 16

_KINDS: dict[str, ChangeKind] = {
    "A": "added",
    "M": "modified",
    "D": "deleted",
    "R": "renamed",
    "T": "type",
}


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One path that differs. Modes are 0 and names of objects zeros where there is nothing."""

    kind: ChangeKind
    path: bytes
    old_path: bytes
    """The same as ``path`` unless renamed."""
    old_mode: int
    mode: int
    old_oid: str
    oid: str

    @property
    def of_repository(self) -> bool:
        """Whether a repository within the repository comes, goes or has another commit."""
        return GITLINK in (self.old_mode, self.mode)


class ChangeList:
    """The first ``MOST_NAMED`` changes, printable, and how many more there are."""

    def __init__(self) -> None:
        self.named: list[Change] = []
        self.more = 0

    def add(self, changes: Iterable[TreeChange], prefix: bytes = b"") -> None:
        for change in changes:
            if len(self.named) == MOST_NAMED:
                self.more += 1
                continue
            old = change.old_path if change.kind == "renamed" else b""
            self.named.append(
                Change(
                    kind=change.kind,
                    path=readable(prefix + change.path),
                    old_path=readable(prefix + old) if old else "",
                )
            )


def readable(path: bytes) -> str:
    """A path of a repository, for people."""
    return printable(path.decode(errors="surrogateescape"), MOST_CHARACTERS)


def changes_between(
    git: GitProcess, old: str, new: str, *, renames: bool = True
) -> Iterator[TreeChange]:
    """What turns tree ``old`` into ``new``, path by path in git's order.

    Raises what a failed git means.
    """
    how = ("-M",) if renames else ("--no-renames",)
    process = git.start(
        "diff-tree", "-r", "-z", "--raw", "--no-abbrev", *how, old, new,
        environment=without_index(git),
    )  # fmt: skip
    try:
        assert process.stdout
        yield from parse_raw(fields(process.stdout))
        ended(process, "diff-tree", git.cwd)
    finally:
        stop(process)


def without_index(git: GitProcess) -> dict[str, str]:
    """For a git that compares contents. Where its index says that a file is as a blob is, git reads
    the file instead of the blob (diff.c, reuse_worktree_file), without the filter, such as Git LFS,
    that has made the one from the other."""
    return {"GIT_INDEX_FILE": f"{git.environment['GIT_DIR']}/no-index"}


def parse_raw(parts: Iterator[bytes]) -> Iterator[TreeChange]:
    """``:MODE MODE OID OID STATUS NUL PATH NUL``, and a second path of a rename."""
    for head in parts:
        old_mode, mode, old_oid, oid, status = head.decode("ascii")[1:].split(" ")
        old_path = next(parts)
        path = next(parts) if status[0] in "RC" else old_path
        yield TreeChange(
            _KINDS[status[0]], path, old_path, int(old_mode, 8), int(mode, 8), old_oid, oid
        )


def fields(stream: IO[bytes]) -> Iterator[bytes]:
    """What ends with a NUL, piece by piece. Raises ``too_large`` for an endless one."""
    rest = b""
    while piece := stream.read(PIECE):
        *whole, rest = (rest + piece).split(b"\0")
        if len(rest) > LONGEST_PATH:
            raise BangerError(Code.TOO_LARGE, "a path in the guest's tree is too long")
        yield from whole


def ended(process: "Popen[bytes]", what: str, where: Path) -> None:
    """Wait for a git whose output has been read. Raises what its failure means."""
    stdout, stderr = process.communicate()
    if process.returncode:
        result = GitResult(process.returncode, stdout or b"", (stderr or b"")[-2000:])
        raise git_error(result, what, where)


def stop(process: "Popen[bytes]") -> None:
    """Leave no git and no pipe behind, whether its output was read to the end or not."""
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


def empty_tree(git: GitProcess) -> str:
    return git.run("hash-object", "-t", "tree", "--stdin").decode().strip()


def tree_of(git: GitProcess, commit: str) -> str:
    """The tree of a commit, and the empty tree of none."""
    if not commit:
        return empty_tree(git)
    found = git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}")
    return found.decode().strip()
