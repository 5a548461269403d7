"""What a guest has changed, as text that git takes: git-apply(1) or git-am(1)."""

from subprocess import Popen
from typing import IO

from services.workspaces.incoming.changes import ended, stop, without_index
from services.workspaces.repository.git_process import GitProcess

PIECE = 1 << 18
_WHOLE = (
    "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
    "--ignore-submodules=all",
)  # fmt: skip


def write_patch(git: GitProcess, old: str, new: str, output: IO[bytes], prefix: bytes = b"") -> int:
    """Write what turns tree ``old`` into ``new``; returns the number of bytes.

    ``prefix`` comes before each path: a submodule's place, with a slash at its end. There, renames
    are a deletion and an addition, because git puts no prefix before their names.
    """
    renames = "--no-renames" if prefix else "-M"
    return _copy(
        git,
        git.start(
            "diff-tree", "-r", "-p", *_WHOLE, renames,
            b"--src-prefix=a/" + prefix, b"--dst-prefix=b/" + prefix, old, new,
            environment=without_index(git),
        ),
        output,
    )[0]  # fmt: skip


def write_mailbox(git: GitProcess, base: str, head: str, output: IO[bytes]) -> tuple[int, bool]:
    """Write the commits after ``base`` ("" for all) up to ``head``, one message each.

    Returns the number of bytes, and whether there are lines that end in CR LF, which git-am(1)
    keeps only with ``--keep-cr``.
    """
    commits = (f"{base}..{head}",) if base else ("--root", head)
    return _copy(
        git,
        git.start(
            "format-patch", "--stdout", *_WHOLE, "-M", "--no-stat", "--no-signature", "--no-thread",
            "--no-attach", *commits, "--",
            environment=without_index(git),
        ),
        output,
    )  # fmt: skip


def _copy(git: GitProcess, process: "Popen[bytes]", output: IO[bytes]) -> tuple[int, bool]:
    size, returns, last = 0, False, b""
    try:
        assert process.stdout
        while piece := process.stdout.read(PIECE):
            output.write(piece)
            size += len(piece)
            returns = returns or b"\r\n" in last + piece
            last = piece[-1:]
        ended(process, "diff", git.cwd)
    finally:
        stop(process)
    return size, returns
