"""An image described in TOML: packages, files and commands on top of a base (docs/images.md).

The steps are in this order whatever the order in the file: the account, packages, files, commands.
"""

import re
import tomllib
from typing import Any

import msgspec

from services.images.building.source_text import refuse
from shared.contract.messages.build import MOST_STEPS, BuildStep
from shared.contract.messages.image import ImageConfig, Item, Items

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:~@-]*")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class CopiedFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One ``[[files]]``: ``source`` is relative to the file's directory, and may be a pattern."""

    source: Item
    destination: Item
    owner: Item = ""
    mode: str = ""


class RunStep(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An entry of ``run`` that is not just a command."""

    command: Item
    user: Item = ""
    workdir: Item = ""


class ImageFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    base: Item
    name: str = ""
    packages: Items = []
    files: list[CopiedFile] = []
    run: list[Item | RunStep] = []
    user: str = ""
    env: dict[str, Item] = {}
    workdir: Item = ""
    entrypoint: Items | None = None
    cmd: Items | None = None
    exposed: Items = []
    labels: dict[str, Item] = {}


def parse(file: str, content: str) -> ImageFile:
    """Read ``content``; ``file`` is its name in errors.

    Raises:
        BangerError: ``invalid`` with the line.
    """
    try:
        read = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+)", str(error))
        words = str(error).partition(" (at ")[0]
        line = int(match[1]) if match else len(content.splitlines())  # at the end of the document
        refuse(file, line, words[:1].lower() + words[1:])
    try:
        found = msgspec.convert(read, ImageFile)
    except msgspec.ValidationError as error:
        refuse(file, _line_of(content, str(error)), str(error).replace("`", ""))
    _check(file, content, found)
    return found


def steps_of(file: str, content: str, found: ImageFile) -> list[BuildStep]:
    """The steps of a file that was read, in order."""
    steps: list[BuildStep] = []

    def add(key: str, text: str, **fields: Any) -> None:
        line = _line_with(content, key)
        steps.append(BuildStep(line=line, text=f"{key}: {text}"[:200], **fields))

    if found.user and found.user != "root":
        add("user", found.user, kind="user", user=found.user)
    if found.packages:
        add("packages", " ".join(found.packages), kind="packages", argv=found.packages)
    for each in found.files:
        add(
            "files",
            f"{each.source} → {each.destination}",
            kind="copy",
            sources=[each.source],
            destination=each.destination,
            owner=each.owner,
            mode=each.mode,
        )
    if found.workdir:
        add("workdir", found.workdir, kind="directory", destination=found.workdir)
    for entry in found.run:
        step = RunStep(command=entry) if isinstance(entry, str) else entry
        add(
            "run",
            step.command,
            kind="run",
            argv=["/bin/sh", "-c", step.command],
            env=found.env,
            workdir=step.workdir or found.workdir,
            user=step.user,
        )
    if len(steps) > MOST_STEPS:
        refuse(file, 0, f"it has more than {MOST_STEPS} steps")
    return steps


def config_of(found: ImageFile, base: ImageConfig | None) -> ImageConfig:
    """The config of the image: what the file does not say is as in the base. An entrypoint of the
    file's own takes the base's cmd out, which was meant for another."""
    below = base or ImageConfig()
    cmd = found.cmd if found.cmd is not None else [] if found.entrypoint else below.cmd
    return msgspec.structs.replace(
        below,
        entrypoint=below.entrypoint if found.entrypoint is None else found.entrypoint,
        cmd=cmd,
        env=below.env | found.env,
        workdir=found.workdir or below.workdir,
        user=found.user or below.user,
        exposed=[*below.exposed, *(port for port in found.exposed if port not in below.exposed)],
        labels=below.labels | found.labels,
    )


def _check(file: str, content: str, found: ImageFile) -> None:
    def bad(key: str, problem: str) -> None:
        refuse(file, _line_with(content, key), problem)

    for name in found.packages:
        if not _PACKAGE.fullmatch(name):
            bad("packages", f"{name!r} is no name of a package")
    if found.user and not _USER.fullmatch(found.user):
        bad("user", f"{found.user!r} is no name of a user")
    for each in found.files:
        if not each.destination.startswith("/"):
            bad("files", f"the destination {each.destination!r} is not an absolute path")
        if each.mode and not re.fullmatch(r"0?[0-7]{3,4}", each.mode):
            bad("files", f"the mode {each.mode!r} is not octal")
    if found.workdir and not found.workdir.startswith("/"):
        bad("workdir", f"the workdir {found.workdir!r} is not an absolute path")


def _line_of(content: str, problem: str) -> int:
    """The line of the key that a message of msgspec is about: it ends with its path."""
    if match := re.search(r"at `\$\.([A-Za-z_]+)", problem):
        return _line_with(content, match[1])
    if match := re.search(r"unknown field `([^`]+)`", problem):
        return _line_with(content, match[1])
    return 0


def _line_with(content: str, key: str) -> int:
    """The line where a key of the top level, or a table of that name, begins; 0 for none."""
    pattern = re.compile(rf"\s*(\[\[?\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    for number, line in enumerate(content.splitlines(), 1):
        if pattern.match(line):
            return number
    return 0
