"""What a build copies: files of the directory that it is given, and their digest.

The directory may be somebody else's repository. A source never leads out of it, a symbolic link in
it is copied as one, and only files, directories and links are copied. ``.dockerignore`` counts as
for docker build (Dockerfile reference, "dockerignore file").
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_FILES = 500_000
IGNORE_FILE = ".dockerignore"
_LONGEST_IGNORE_FILE = 1 << 20
_PIECE = 1 << 20


@dataclass(frozen=True)
class ContextFile:
    """``name`` is where it goes, relative to the destination; "" is the destination itself."""

    path: Path
    name: str
    status: os.stat_result

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True)
class Copied:
    """``files`` in order, directories first. ``into_directory`` is False for one file, which may
    get the destination's own name."""

    files: list[ContextFile]
    into_directory: bool


class BuildContext:
    """The directory that copies come from."""

    def __init__(self, directory: Path) -> None:
        """Raises ``not_found`` when it is no directory."""
        if not directory.is_dir():
            raise BangerError(Code.NOT_FOUND, f"there is no directory {directory}")
        self._top = directory.resolve()
        self._ignored = _ignored(self._top)

    def copied(self, sources: Sequence[str], destination: str) -> Copied:
        """What ``sources``, names or patterns, stand for.

        A directory's content goes into the destination, a file goes into it under its own name, or
        becomes it. Raises ``not_found`` for a source that is not there, ``denied`` for one outside,
        ``too_large``.
        """
        tops = [path for source in sources for path in self._matches(source)]
        files: list[ContextFile] = []
        for top in tops:
            files += self._below(top, MOST_FILES - len(files))
        one = len(tops) == 1 and not tops[0].is_dir()
        return Copied(files, into_directory=not one or destination.endswith("/"))

    def _matches(self, source: str) -> list[Path]:
        relative = os.path.normpath(source.lstrip("/") or ".")
        if relative == ".." or relative.startswith("../"):
            raise _outside(source)
        is_pattern = any(letter in relative for letter in "*?[")
        found = sorted(self._top.glob(relative)) if is_pattern else [self._top / relative]
        kept = [path for path in found if os.path.lexists(path) and not self._ignores(path)]
        if not kept:
            raise BangerError(
                Code.NOT_FOUND,
                f"there is no {printable(source, 200)} in {self._top}",
                hint=f"what {IGNORE_FILE} names is not copied",
            )
        return [self._resolved(source, path) for path in kept]

    def _resolved(self, source: str, path: Path) -> Path:
        """A source that is a link is what it leads to, if that is inside."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise BangerError(Code.NOT_FOUND, f"{printable(source, 200)} leads nowhere") from error
        if real != self._top and self._top not in real.parents:
            raise _outside(source)
        return real

    def _below(self, top: Path, most: int) -> Iterator[ContextFile]:
        status = top.lstat()
        if not stat.S_ISDIR(status.st_mode):
            yield ContextFile(top, top.name, status)
            return
        todo = [(top, "")]
        while todo:
            directory, prefix = todo.pop()
            for entry in sorted(os.scandir(directory), key=lambda each: each.name):
                path, status = Path(entry.path), entry.stat(follow_symlinks=False)
                name = f"{prefix}{entry.name}"
                is_directory = stat.S_ISDIR(status.st_mode)
                if self._ignores(path) and not (is_directory and self._may_keep(path)):
                    continue
                if not (is_directory or stat.S_ISREG(status.st_mode) or entry.is_symlink()):
                    continue  # a socket, a pipe or a device
                most -= 1
                if most < 0:
                    raise BangerError(Code.TOO_LARGE, f"a copy has more than {MOST_FILES} files")
                yield ContextFile(path, name, status)
                if is_directory:
                    todo.append((path, f"{name}/"))

    def _ignores(self, path: Path) -> bool:
        """Whether the last line of .dockerignore that matches the path, or a directory above it,
        takes it out."""
        if path == self._top:
            return False
        relative = path.relative_to(self._top)
        names = [str(relative), *(str(above) for above in relative.parents if above.name)]
        ignored = False
        for pattern, takes_out in self._ignored:
            if any(pattern.fullmatch(name) for name in names):
                ignored = takes_out
        return ignored

    def _may_keep(self, _directory: Path) -> bool:
        return any(not takes_out for _, takes_out in self._ignored)


def digest_of(files: Sequence[ContextFile]) -> str:
    """SHA-256 over names, modes and contents; not over dates and owners."""
    total = hashlib.sha256()
    for each in files:
        mode = stat.S_IFMT(each.status.st_mode) | each.status.st_mode & 0o777
        total.update(b"%o %d " % (mode, len(os.fsencode(each.name))) + os.fsencode(each.name))
        if each.is_file:
            content = hashlib.sha256()
            for piece in contents(each):
                content.update(piece)
            total.update(content.digest())
        elif not each.is_directory:
            target = os.fsencode(each.path.readlink())
            total.update(b"%d " % len(target) + target)
    return total.hexdigest()


def contents(each: ContextFile) -> Iterator[bytes]:
    """A file in pieces, as many bytes as ``status`` says. Raises ``conflict`` when it changed."""
    descriptor = os.open(each.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        now, left = os.fstat(descriptor), each.status.st_size
        same = (now.st_ino, now.st_dev, now.st_size) == (
            each.status.st_ino, each.status.st_dev, left,
        )  # fmt: skip
        while same and left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
        if left or not same:
            raise BangerError(
                Code.CONFLICT,
                f"{printable(str(each.path), 200)} changed while it was read",
                hint="build again when nothing writes to it",
            )


def _outside(source: str) -> BangerError:
    return BangerError(
        Code.DENIED, f"{printable(source, 200)} is outside of the directory that is built from"
    )


def _ignored(top: Path) -> list[tuple[re.Pattern[str], bool]]:
    """(pattern, whether it takes out) of each line of .dockerignore."""
    try:
        path = top / IGNORE_FILE
        if not path.is_file() or path.stat().st_size > _LONGEST_IGNORE_FILE:
            return []
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        takes_out = not text.startswith("!")
        cleaned = os.path.normpath(text.removeprefix("!").strip().lstrip("/"))
        found.append((_pattern(cleaned), takes_out))
    return found


_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_TOKEN = re.compile(r"\*\*/|\*\*|\[\^?[^\]/]+\]|\\.|.", re.DOTALL)


def _pattern(text: str) -> re.Pattern[str]:
    """``**`` stands for any number of directories, ``*`` and ``?`` for anything but a slash."""
    parts = []
    for token in _TOKEN.findall(text):
        if token in _WILD:
            parts.append(_WILD[token])
        elif token.startswith("[") and len(token) > 1:
            parts.append(token.replace("\\", ""))
        else:
            parts.append(re.escape(token[-1]))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:  # such as a range that runs backwards
        return re.compile(re.escape(text))
