"""Where the submodules of a repository are, and which of them belong to it."""

import os
import stat
from pathlib import Path

from services.workspaces.repository.discovery import Repository, discover
from services.workspaces.repository.work_tree import WorkTree
from shared.plain_text import printable


def is_initialised(files: WorkTree, path: bytes) -> bool:
    """Whether a directory, reached without following a symlink, holds a repository."""
    found = files.lstat(path)
    return (
        found is not None
        and stat.S_ISDIR(found.st_mode)
        and files.lstat(path + b"/.git") is not None
    )


def repository_of(parent: Repository, path: bytes) -> Repository | str:
    """The repository of an initialised submodule, or a sentence why it is not taken.

    Its git directory has to be in it, or in the git directory around it, where git puts it. One
    that leads anywhere else would bring the history of another repository into the guest. Raises
    what ``discover`` raises.
    """
    top = parent.top / os.fsdecode(path)
    found = discover(top)
    places = (top, parent.common_directory, parent.git_directory)
    if os.path.realpath(found.top) != os.path.realpath(top) or not all(
        _is_in_one_of(directory, places)
        for directory in (found.git_directory, found.common_directory)
    ):
        name = printable(os.fsdecode(path), 200)
        return f"submodule {name} is left out: its git directory is outside of the repository"
    return found


def _is_in_one_of(directory: Path, places: tuple[Path, ...]) -> bool:
    real = Path(os.path.realpath(directory))
    return any(real.is_relative_to(os.path.realpath(place)) for place in places)
