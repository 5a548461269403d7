"""Where a copy lands: the rules of ``vm cp``, as a table of what is copied and what is there. Pure.

They are those of cp(1) with -a, and of `docker cp`, where the two agree:

- A destination that is a directory, or a link to one, takes the source under the source's name.
- DIR/. means what is in DIR. It goes into a directory that exists, which keeps its own mode and
  times, or becomes a new directory.
- A destination that does not exist is the name of the copy; its parent has to exist. A file does
  not make the directory that a trailing slash names (docker: "must exist").
- A directory never replaces a file, nor a file a directory.
- Links in a destination are not followed, except the destination itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cli.guest.transfer.causes import failed
from shared.errors import BangerError, Code


class SourceKind(StrEnum):
    """What is copied. ``CONTENTS`` is what is in a directory, without the directory."""

    FILE = "file"
    LINK = "link"
    DIRECTORY = "dir"
    CONTENTS = "contents"


class TargetKind(StrEnum):
    """What is at a path, with links followed. ``DANGLING`` is a link that leads nowhere."""

    DIRECTORY = "dir"
    FILE = "file"
    SPECIAL = "special"
    DANGLING = "dangling"
    ABSENT = "absent"


@dataclass(frozen=True)
class CopyTarget:
    """The destination as it was found."""

    path: str
    kind: TargetKind
    parent: TargetKind = TargetKind.DIRECTORY
    inside: Mapping[str, TargetKind] = field(default_factory=dict)
    """What a directory has under the names of the sources, without following links: a link counts
    as a file."""

    @property
    def slash(self) -> bool:
        return self.path.endswith("/")


class Way(StrEnum):
    """How a source reaches its place."""

    INTO = "into"
    """Into the directory, as ``Landing.name``; for an empty name the contents are merged."""
    AS = "as"
    """As the destination itself."""
    WRITE = "write"
    """Into a device or pipe that is there, which is not replaced."""


@dataclass(frozen=True)
class Landing:
    """Where a source goes."""

    way: Way
    name: str = ""


def land(kind: SourceKind, name: str, target: CopyTarget, *, several: bool = False) -> Landing:
    """Where the source called ``name`` lands; ``several``: it is one of several sources.

    Raises:
        BangerError: ``not_found`` when the destination's directory is missing; ``conflict`` when
            what is there cannot become what is copied. ``details["errno"]`` tells which.
    """
    if target.kind is TargetKind.DIRECTORY:
        return _inside(kind, name, target)
    if target.kind is TargetKind.DANGLING:
        if kind is SourceKind.LINK and not several and not target.slash:
            return Landing(Way.AS)
        raise failed("EEXIST", target.path, "is a symbolic link that leads nowhere")
    if target.kind is TargetKind.ABSENT:
        return _new(kind, target, several=several)
    if several or target.slash or kind in (SourceKind.DIRECTORY, SourceKind.CONTENTS):
        raise failed("ENOTDIR", target.path)
    if target.kind is TargetKind.FILE:
        return Landing(Way.AS)
    if kind is SourceKind.LINK:
        raise failed("EEXIST", target.path, "is a device or pipe, and a link cannot be written")
    return Landing(Way.WRITE)


def _inside(kind: SourceKind, name: str, target: CopyTarget) -> Landing:
    if kind is SourceKind.CONTENTS:
        return Landing(Way.INTO)
    there = target.inside.get(name, TargetKind.ABSENT)
    path = f"{target.path.rstrip('/')}/{name}" if target.path else name
    if kind is SourceKind.DIRECTORY and there not in (TargetKind.DIRECTORY, TargetKind.ABSENT):
        raise failed("ENOTDIR", path)
    if kind is not SourceKind.DIRECTORY and there is TargetKind.DIRECTORY:
        raise failed("EISDIR", path)
    return Landing(Way.INTO, name)


def _new(kind: SourceKind, target: CopyTarget, *, several: bool) -> Landing:
    if target.parent is not TargetKind.DIRECTORY:
        known = target.parent is not TargetKind.ABSENT
        raise failed("ENOTDIR" if known else "ENOENT", _parent(target.path))
    if several or (target.slash and kind not in (SourceKind.DIRECTORY, SourceKind.CONTENTS)):
        raise failed("ENOENT", target.path)
    return Landing(Way.AS)


def _parent(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def check_path_given(place: str, path: str) -> None:
    """Raises ``usage`` for a source "VM:" without a path: all of the home directory would be
    poured over the current one."""
    if not path:
        raise BangerError(
            Code.USAGE,
            f"{place!r} does not say what to copy",
            hint=f"name a path: {place}/root for the directory, {place}/root/. for what is in it",
        )
