"""Whether only root can change the code that root runs.

Checked are the interpreter, every place that modules are imported from and every module that is
loaded, each with all of its parent directories and, for symbolic links, what they lead to.
"""

import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from shared.errors import BangerError, Code

FLAG = "--trust-user-code"
HOW = (
    "install it as root, where only root can write: "
    "python3 -m venv /opt/banger, then /opt/banger/bin/pip install the same wheel; "
    f"or pass {FLAG}: whoever can write there is root then"
)


def check_code(code: Iterable[str]) -> None:
    """Raise ``denied`` when another user than root can change one of these files or directories,
    or put another in its place."""
    seen: set[Path] = set()
    for path in code:
        for each in _on_the_way(Path(path), seen):
            if problem := _problem(each):
                raise BangerError(
                    Code.DENIED,
                    f"nat does not run code as root that others can change: {problem}",
                    hint=HOW,
                )


def running_code() -> Iterator[str]:
    """The interpreter, the places that it imports from, and what it has imported."""
    yield sys.executable
    yield from (str(path) for path in map(Path.absolute, map(Path, sys.path)) if path.exists())
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).exists():
            yield str(Path(file).absolute())


def _on_the_way(path: Path, seen: set[Path]) -> Iterator[Path]:
    """``path``, its parents and the targets of links among them; none of those in ``seen``."""
    for each in (path, *path.parents):
        if each in seen:
            continue
        seen.add(each)
        yield each
        if each.is_symlink():
            yield from _on_the_way(each.parent / each.readlink(), seen)


def _problem(path: Path) -> str:
    """Who else can change what the name ``path`` means; "" when nobody can."""
    info = path.lstat()
    if info.st_uid != 0:
        return f"{path} belongs to uid {info.st_uid}"
    mode = info.st_mode
    if stat.S_ISLNK(mode):  # its mode means nothing (symlink(7))
        return ""
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:  # others can only add names (chmod(2))
        return ""
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and info.st_gid != 0):
        return f"{path} can be written by others (mode {stat.S_IMODE(mode):o})"
    return ""
