"""Disks as guests leave them, made with e2fsprogs and without root."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from shared.host.programs import search_path

_ENVIRONMENT = {**os.environ, "PATH": search_path(), "LC_ALL": "C"}


def make_disk(path: Path, tree: Path, commands: Sequence[str] = (), *, size: str = "64M") -> Path:
    """An ext4 with the content of ``tree``, changed by ``commands`` of debugfs(8)."""
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, path, size],
        check=True,
        env=_ENVIRONMENT,
    )
    if commands:
        change(path, commands)
    return path


def change(path: Path, commands: Sequence[str]) -> None:
    """Run ``commands`` of debugfs(8) on a disk."""
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", path],
        input="\n".join(commands) + "\n",
        text=True,
        capture_output=True,
        check=True,
        env=_ENVIRONMENT,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("debugfs 1.")]
    assert not said, said


def upper_tree(top: Path) -> Path:
    """A directory that becomes the root of a system overlay; returns its ``upper``."""
    upper = top / "upper"
    (upper / "etc").mkdir(parents=True)
    (top / "work").mkdir()
    return upper
