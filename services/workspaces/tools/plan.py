"""Which tools a repository pins, from the files at its top level. Pure but for reading them.

Nothing of the repository's is run or imported, and a file is only read: a regular one, without
following a link, and up to ``LARGEST``. What cannot be read or makes no sense asks for nothing.

For each tool the first of these that pins it counts:

============  ==================================================================================
any           ``mise.toml``, ``.mise.toml``, ``.tool-versions`` (docs of mise: Configuration)
go            ``go.mod``: ``toolchain``, else ``go`` (Go Modules Reference)
node          ``.nvmrc`` (nvm), ``.node-version``, package.json: ``volta``, ``engines`` (npm)
npm pnpm yarn package.json: ``packageManager`` (Corepack), ``volta``
python        ``.python-version`` (pyenv), pyproject.toml: ``requires-python`` (PEP 621)
rust          ``rust-toolchain``, ``rust-toolchain.toml`` (The rustup book: Overrides)
============  ==================================================================================

``services.workspaces.tools.ranges`` says which version a range becomes.
"""

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from services.workspaces.tools.ranges import lowest_of_npm, lowest_of_python
from shared.contract.messages.workspace import ToolWish

LARGEST = 256 << 10
"""Bytes of a file that is read."""
MOST_TOOLS = 32
OWN_FILES = ("mise.toml", ".mise.toml", ".tool-versions")
"""Files that mise itself reads in the directory, with all that it allows in them."""

_NAME = re.compile(r"(?:[a-z]{2,16}:@?)?[A-Za-z0-9][A-Za-z0-9._/-]{0,79}")
_VERSION = re.compile(r"(?:prefix:|ref:|tag:|sub-[0-9.]{1,16}:)?[A-Za-z0-9][A-Za-z0-9._+/-]{0,63}")
_OTHER_NAMES = {"nodejs": "node", "golang": "go"}
_WITHOUT_INSTALLATION = ("system", "path")

Pin = tuple[str, str]
"""Name and version of a tool, not yet checked."""


def plan_of(top: Path, paths: Iterable[bytes]) -> list[ToolWish]:
    """The tools that the files ``paths`` of the repository at ``top`` pin, one wish per tool.

    ``paths`` are those that go into the guest, relative to ``top``; what they say of tools counts
    only at the top level. Never raises for what a file holds.
    """
    there = {path for path in paths if b"/" not in path}
    wishes: dict[str, ToolWish] = {}
    for name, read in _READERS.items():
        if os.fsencode(name) not in there:
            continue
        for tool, version in _pins(top / name, read):
            wish = _checked(tool, version, name)
            if wish and len(wishes) < MOST_TOOLS:
                wishes.setdefault(wish.name, wish)
    return list(wishes.values())


def needs_outside(wishes: Sequence[ToolWish]) -> str:
    """What is said instead of a bootstrap when the VM does not reach the outside."""
    *others, last = (f"{wish.name} {wish.version} ({wish.source})" for wish in wishes)
    named = f"{', '.join(others)} and {last}" if others else last
    them = "them" if others else "it"
    return (
        f"the repository pins {named}; installing {them} needs the outside: "
        "add --nat, or silence this with --no-bootstrap"
    )


def _checked(tool: str, version: str, source: str) -> ToolWish | None:
    """None for what no word of mise's can be: an option, a path, blanks, control characters."""
    tool = _OTHER_NAMES.get(tool, tool)
    if not _NAME.fullmatch(tool) or not _VERSION.fullmatch(version):
        return None
    if version in _WITHOUT_INSTALLATION or ".." in tool or ".." in version:
        return None
    return ToolWish(name=tool, version=version, source=source)


def _pins(path: Path, read: "Reader") -> list[Pin]:
    try:
        return list(read(_text(path)))
    except (OSError, ValueError, RecursionError):  # also of TOML, JSON, UTF-8 and huge numbers
        return []


def _text(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise ValueError(f"{path.name} is no file of tools")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST).decode()
    finally:
        os.close(descriptor)


# -- one reader per file: text to pins, in the order in which they count --------------------------


def _mise_toml(text: str) -> Iterator[Pin]:
    for tool, wanted in _table(tomllib.loads(text), "tools").items():
        version = wanted[0] if isinstance(wanted, list) and wanted else wanted
        if isinstance(version, dict):
            version = version.get("version")
        if isinstance(version, str):
            yield tool, version


def _tool_versions(text: str) -> Iterator[Pin]:
    for words in map(str.split, _lines(text)):
        if len(words) > 1:
            yield words[0], words[1]


def _go_mod(text: str) -> Iterator[Pin]:
    words = [line.split("//")[0].split() for line in text.splitlines()]
    found = {line[0]: line[1] for line in reversed(words) if len(line) == 2}
    toolchain = found.get("toolchain", "").split("-")[0]
    if re.fullmatch(r"go1\.\d+[\w.]*", toolchain):
        yield "go", toolchain.removeprefix("go")
    version = re.fullmatch(r"1\.(\d{1,4})([\w.]*)", found.get("go", ""))
    if version:
        # Until 1.20 the first release of a series had no third number, and mise would take that.
        first = int(version[1]) < 21 and not version[2]
        yield "go", f"prefix:{version[0]}" if first else version[0]


def _package_json(text: str) -> Iterator[Pin]:
    package = json.loads(text)
    volta = _table(package, "volta")
    for tool in ("node", "npm", "pnpm", "yarn"):
        yield tool, _string(volta, tool).removeprefix("v")
    version = lowest_of_npm(_string(_table(package, "engines"), "node"))
    # ">=0.10" says that any Node.js does: nobody wants one of 2013.
    yield "node", "" if version.startswith("0") else version
    chosen = re.match(r"(npm|pnpm|yarn)@(\d[\w.-]*)(?:\+|$)", _string(package, "packageManager"))
    if chosen:
        yield chosen[1], chosen[2]


def _nvmrc(text: str) -> Iterator[Pin]:
    for line in _lines(text)[:1]:
        version = line.removeprefix("v")
        known = {"lts/*": "lts", "node": "latest", "stable": "latest", "iojs": "", "unstable": ""}
        yield "node", known.get(version, version.replace("lts/", "lts-"))


def _python_version(text: str) -> Iterator[Pin]:
    for line in _lines(text)[:1]:
        yield "python", line.removeprefix("cpython-")


def _pyproject(text: str) -> Iterator[Pin]:
    wanted = _string(_table(tomllib.loads(text), "project"), "requires-python")
    yield "python", lowest_of_python(wanted)


def _rust_toolchain(text: str) -> Iterator[Pin]:
    lines = _lines(text)
    if len(lines) == 1 and "=" not in text and "[" not in text:
        yield "rust", lines[0]
        return
    yield "rust", _string(_table(tomllib.loads(text), "toolchain"), "channel")


Reader = Callable[[str], Iterator[Pin]]

_READERS: dict[str, Reader] = {
    "mise.toml": _mise_toml,
    ".mise.toml": _mise_toml,
    ".tool-versions": _tool_versions,
    "go.mod": _go_mod,
    ".nvmrc": _nvmrc,
    ".node-version": _nvmrc,
    "package.json": _package_json,
    ".python-version": _python_version,
    "pyproject.toml": _pyproject,
    "rust-toolchain": _rust_toolchain,
    "rust-toolchain.toml": _rust_toolchain,
}
"""In the order in which they count."""


def _lines(text: str) -> list[str]:
    """Without comments and blanks."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _table(parsed: Any, key: str) -> dict[str, Any]:
    found = parsed.get(key) if isinstance(parsed, dict) else None
    return found if isinstance(found, dict) else {}


def _string(parsed: Any, key: str) -> str:
    found = parsed.get(key) if isinstance(parsed, dict) else None
    return found if isinstance(found, str) else ""
