"""``[[file_sync]]`` of the configuration: files of the user's home for /root of every guest."""

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

GUEST_HOME = PurePosixPath("/root")
MOST_FILES = 100
LONGEST_PATH = 1024


class FileSync(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One file. Both paths may begin with ``~/``: the home of the user, and /root."""

    host: str
    guest: str


def check(entries: Sequence[FileSync]) -> None:
    """Raises ValueError for an entry that can never be right, and names it."""
    if len(entries) > MOST_FILES:
        raise ValueError(f"file_sync: {len(entries)} files, but {MOST_FILES} at most")
    taken = set()
    for number, entry in enumerate(entries):
        for name, resolve in (("host", host_path), ("guest", guest_path)):
            try:
                path = resolve(getattr(entry, name))
            except ValueError as error:
                raise ValueError(f"file_sync[{number}].{name}: {error}") from None
        if path in taken:
            raise ValueError(f"file_sync[{number}].guest: {entry.guest} is there twice")
        taken.add(path)


def host_path(text: str) -> PurePosixPath:
    """The absolute path on the host, which is below the user's home as far as words go.

    Links are followed when the file is sent, and judged then (``inside_home``).
    """
    return _below(home(), text, "your home directory")


def guest_path(text: str) -> PurePosixPath:
    """The path in the guest, relative to /root."""
    return _below(GUEST_HOME, text, str(GUEST_HOME)).relative_to(GUEST_HOME)


def inside_home(path: PurePosixPath) -> bool:
    """Whether a path without links is below the user's home."""
    return PurePosixPath(os.path.realpath(home())) in path.parents


def home() -> PurePosixPath:
    return PurePosixPath(os.path.expanduser("~"))  # noqa: PTH111


def _below(top: PurePosixPath, text: str, name: str) -> PurePosixPath:
    if not text.isprintable() or len(text) > LONGEST_PATH:
        raise ValueError("it is no path of a file that can be synced")
    if ".." in text.split("/"):
        raise ValueError(f"{text}: .. is not allowed")
    if text.endswith("/"):
        raise ValueError(f"{text}: only files are synced, no directories")
    path = top / text.removeprefix("~/").lstrip("/") if text.startswith("~/") else _absolute(text)
    if top not in path.parents:
        raise ValueError(f"{text} is not in {name}: begin it with ~/")
    return path


def _absolute(text: str) -> PurePosixPath:
    if not text.startswith("/"):
        raise ValueError(f"{text}: begin it with ~/")
    return PurePosixPath(text)
