"""The git directory that a guest gets, as the files of an archive (gitrepository-layout(5)).

Settings that decide how git reads files go along, because the guest's git has to take a file for
unchanged where the host's does; so do the patterns of what is ignored. Hooks, filters, remotes with
passwords and everything else that is of the host stays there.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.guest.tar_stream import ArchiveMember, content
from services.workspaces.repository.configuration import Configuration
from services.workspaces.repository.regular_file import read_start

GIT = b".git/"
OURS = b".git/banger/"
RAW_ATTRIBUTES = b"* -text -ident -filter -working-tree-encoding -eol\n"
"""While git writes files from objects: their bytes as they are (gitattributes(5))."""
MOST_PATTERNS = 1 << 20
"""Bytes of a file of ignore patterns or attributes."""

_READING = ("core.autocrlf", "core.eol")
_SPARSE = ("core.sparsecheckout", "core.sparsecheckoutcone")


@dataclass(frozen=True)
class GuestGit:
    """What makes the guest's git directory one repository's own."""

    head: str
    """A commit, empty without one."""
    ref: str
    """The branch, as refs/heads/…; empty for a detached HEAD."""
    refs: Mapping[str, str] = field(default_factory=dict)
    shallow: tuple[str, ...] = ()
    object_format: str = "sha1"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the configuration: ``section.key`` to value."""
    origin: str = ""
    exclude: bytes = b""
    attributes: bytes = b""
    sparse_patterns: bytes = b""


def settings_of(configuration: Configuration, *, sparse: bool) -> dict[str, str]:
    """Those of the host's settings that the guest's git needs to read files as the host's does."""
    names = (*_READING, *_SPARSE) if sparse else _READING
    return {name: value for name in names if (value := configuration.get(name)) is not None}


def patterns(*paths: Path) -> bytes:
    """The content of files of patterns, one after the other; those that are not there are left
    out."""
    found = b""
    for path in paths:
        try:
            text = read_start(path, MOST_PATTERNS)
        except FileNotFoundError:
            continue
        found += text if text.endswith(b"\n") or not text else text + b"\n"
    return found


def git_directory(git: GuestGit) -> Iterator[ArchiveMember]:
    """The files of ``.git``. ``ours_at_end`` has to follow."""
    for name in (b"objects/", b"refs/", b"refs/banger/", b"info/"):
        yield ArchiveMember(GIT + name)
    yield content(GIT + b"HEAD", os.fsencode(f"ref: {git.ref}\n" if git.ref else f"{git.head}\n"))
    yield content(GIT + b"config", os.fsencode(_config(git)))
    yield content(GIT + b"packed-refs", _packed_refs(git))
    if git.shallow:
        yield content(GIT + b"shallow", _lines(git.shallow))
    if git.exclude:
        yield content(GIT + b"info/exclude", git.exclude)
    if git.sparse_patterns:
        yield content(GIT + b"info/sparse-checkout", git.sparse_patterns)
    yield content(GIT + b"info/attributes", RAW_ATTRIBUTES)


def ours_at_end(git: GuestGit) -> ArchiveMember:
    """The last file of the archive: the attributes that are to hold once all files are placed."""
    return content(OURS + b"attributes", git.attributes)


def raw_git_directory(prefix: bytes, object_format: str) -> Iterator[ArchiveMember]:
    """A git directory in which git writes files as they are, whatever attributes say."""
    yield ArchiveMember(prefix + b"refs/")
    yield ArchiveMember(prefix + b"objects/")
    yield content(prefix + b"HEAD", b"ref: refs/heads/none\n")
    yield content(prefix + b"config", os.fsencode(section_lines(_format(object_format))))
    yield content(prefix + b"info/attributes", RAW_ATTRIBUTES)


def path_list(paths: "Iterator[bytes] | list[bytes]") -> bytes:
    """Paths as programs with -z take them."""
    return b"".join(path + b"\0" for path in paths)


def _lines(words: tuple[str, ...]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _packed_refs(git: GuestGit) -> bytes:
    """git-pack-refs(1): without a header, git sorts and peels by itself."""
    refs = dict(git.refs)
    if git.head:
        refs["refs/banger/base"] = refs["refs/banger/prepared"] = git.head
        if git.ref:
            refs[git.ref] = git.head
    return os.fsencode("".join(f"{oid} {name}\n" for name, oid in sorted(refs.items())))


def _config(git: GuestGit) -> str:
    values = {
        "core.filemode": "true",
        "core.bare": "false",
        "core.logallrefupdates": "true",
        "submodule.active": ".",
        **git.settings,
        **_format(git.object_format),
    }
    text = section_lines(values)
    if git.origin:
        fetch = "+refs/heads/*:refs/remotes/origin/*"
        text += f'[remote "origin"]\n\turl = {_quoted(git.origin)}\n\tfetch = {fetch}\n'
    return text


def _format(object_format: str) -> dict[str, str]:
    """The version of the repository's format (repository-version.txt of git's documentation)."""
    if object_format == "sha1":
        return {"core.repositoryformatversion": "0"}
    return {"core.repositoryformatversion": "1", "extensions.objectformat": object_format}


def section_lines(values: Mapping[str, str]) -> str:
    """A configuration file with settings by ``section.key``."""
    lines = []
    for name, value in values.items():
        section, key = name.split(".", 1)
        lines.append(f"[{section}]\n\t{key} = {_quoted(value)}\n")
    return "".join(lines)


def _quoted(value: str) -> str:
    """A value of a configuration file (git-config(1), "Syntax")."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
