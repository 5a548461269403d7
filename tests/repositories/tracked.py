"""What a guest has to get, by another way than the product's: the list is git's, the bytes ours."""

import os
import stat
from pathlib import Path

from tests.repositories.making import git

TrackedFile = tuple[int, bytes]
"""Mode as git has it (0o100644, 0o100755, 0o120000), and the bytes or the link's target."""


def tracked_files(top: Path, *, untracked: bool = False) -> dict[bytes, TrackedFile]:
    """The tracked files of a work tree, those of initialised submodules included.

    With ``untracked`` also those that git neither tracks nor ignores.
    """
    found = {}
    listing = git(top, "ls-files", "-s", "-z").split(b"\0")[:-1]
    for line in listing:
        facts, _, path = line.partition(b"\t")
        if facts.startswith(b"160000"):
            below = top / os.fsdecode(path)
            if below.is_symlink() or below.is_file():
                found.update({path: one} if (one := file_at(top, path)) else {})
            elif (below / ".git").exists():
                inner = tracked_files(below, untracked=untracked)
                found.update({path + b"/" + name: one for name, one in inner.items()})
        elif (one := file_at(top, path)) is not None:
            found[path] = one
    if untracked:
        others = git(top, "ls-files", "-o", "--exclude-standard", "-z").split(b"\0")[:-1]
        found.update({path: one for path in others if (one := file_at(top, path)) is not None})
    return found


def file_at(top: Path, path: bytes) -> TrackedFile | None:
    """The regular file or symlink at ``path``; None for anything else, or below a symlink."""
    here = top
    for part in os.fsdecode(path).split("/")[:-1]:
        here = here / part
        if here.is_symlink() or not here.is_dir():
            return None
    full = top / os.fsdecode(path)
    if not os.path.lexists(full):
        return None
    mode = full.lstat().st_mode
    if stat.S_ISLNK(mode):
        return 0o120000, os.fsencode(full.readlink())
    if not stat.S_ISREG(mode):
        return None
    return (0o100755 if mode & 0o100 else 0o100644), full.read_bytes()


def files_below(top: Path) -> dict[bytes, TrackedFile]:
    """All files below a directory, whatever git thinks of them, without those of ``.git``."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        links = [
            name for name in names if Path(os.fsdecode(directory), os.fsdecode(name)).is_symlink()
        ]
        if b".git" in names:
            names.remove(b".git")
        for name in (*files, *links):
            path = Path(os.fsdecode(directory), os.fsdecode(name)).relative_to(top)
            one = file_at(top, os.fsencode(path))
            if one is not None and name != b".git":
                found[os.fsencode(path)] = one
    return found
