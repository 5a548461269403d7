"""Where the objects of a guest are looked at: a git directory of the transfer's own.

The pack goes through ``git index-pack --strict``: it recomputes the name of each object, holds each
against git's rules (git-fsck(1): no ``..``, no ``.git`` in any spelling, no unsorted or doubled
names), and wants everything that they refer to. Nothing reaches the repository of the host from
here but by name, after a merge.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from typing import IO

from services.workspaces.incoming.answer import MOST_WORDS, Read
from services.workspaces.incoming.changes import stop
from services.workspaces.repository.git_process import (
    GitProcess,
    GitResult,
    clean_environment,
    git_error,
)
from shared.errors import BangerError, Code

LARGEST_PACK = 16 << 30
"""Bytes that a guest may send. The free space may allow less: see ``most_bytes``."""
SHARE = 0.5
"""Of the free space that a pack may take: merges and results need some, too."""
MOST_MEMORY = "768m"
"""For one allocation of git (GIT_ALLOC_LIMIT): sizes in a pack are a claim of the guest."""
PIECE = 1 << 18


def most_bytes(directory: Path) -> int:
    """How large a pack may be that is kept in ``directory``."""
    return min(LARGEST_PACK, int(shutil.disk_usage(directory).free * SHARE))


def receive_pack(git: GitProcess, read: Read, objects: Path, limit: int | None = None) -> int:
    """Take a pack into the git directory of ``git``; returns its size in bytes.

    ``objects`` is that directory's object directory.

    Raises ``too_large``, ``no_space``, ``lost`` for a pack that ends early, and ``guest_failed``
    for anything that git refuses. Nothing of the pack is left then.
    """
    most = most_bytes(objects) if limit is None else limit
    before = set((objects / "pack").iterdir())
    process = git.start(
        "index-pack", "--stdin", "--strict", "--threads=1", f"--max-input-size={most}",
        stdin=PIPE,
        environment={"GIT_ALLOC_LIMIT": MOST_MEMORY},
    )  # fmt: skip
    assert process.stdin
    try:
        size = _copy(read, process.stdin)
        stdout, stderr = process.communicate()
    finally:
        stop(process)
    if process.returncode:
        # Some of git's checks come when the pack has its name already.
        for left in set((objects / "pack").iterdir()) - before:
            left.unlink()
        raise _refusal(GitResult(process.returncode, stdout, stderr[-MOST_WORDS:]), most)
    return size


def lone_quarantine(directory: Path, object_format: str) -> GitProcess:
    """git in an empty repository at ``directory``, where the host's own repository is gone."""
    environment = clean_environment(
        {
            "GIT_DIR": str(directory),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "HOME": str(directory),
        }
    )
    git = GitProcess(directory.parent, environment)
    git.run("init", "--bare", "--quiet", "--template=", f"--object-format={object_format}")
    return git


def require(git: GitProcess, kinds: Mapping[str, str]) -> None:
    """Raise ``guest_failed`` unless each object is there and of its kind ("tree", "commit")."""
    names = "".join(f"{oid}\n" for oid in kinds).encode()
    found = git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=names)
    wanted = "".join(f"{oid} {kind}\n" for oid, kind in kinds.items())
    if found.decode(errors="replace") != wanted:
        raise BangerError(Code.GUEST_FAILED, "the guest has named objects that it has not sent")


def _copy(read: Read, target: IO[bytes]) -> int:
    """Until the guest has said all, or git wants no more."""
    size = 0
    try:
        while piece := read(PIECE):
            target.write(piece)
            size += len(piece)
        target.flush()
    except BrokenPipeError:
        pass
    return size


def _refusal(result: GitResult, most: int) -> BangerError:
    said = result.stderr
    if b"exceeds maximum allowed size" in said:
        return BangerError(
            Code.TOO_LARGE,
            f"the guest has sent more than {most} bytes, the most that is taken",
            hint="free space on this host, or take the files out: banger vm cp",
        )
    if b"No space left" in said or b"quota exceeded" in said:
        return git_error(result, "index-pack", Path())
    if b"early EOF" in said:
        return BangerError(
            Code.LOST,
            "the guest stopped sending in the middle",
            hint="see what happened to the VM: banger vm list",
        )
    if b"did not receive expected object" in said:
        return BangerError(
            Code.GUEST_FAILED,
            "the history in the guest is not complete: it refers to objects that neither the guest "
            "nor this host has",
            hint="without commits, the files can be taken",
        )
    return BangerError(
        Code.GUEST_FAILED, f"what the guest has sent was refused: {result.complaint}"
    )
