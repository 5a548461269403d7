"""What a guest says of its workspace before the pack: read with a limit, and taken for a claim.

Names of objects are looked up in the quarantine before they are used; a branch and a number are
only shown.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_LINES = 110
MOST_BYTES = 1 << 16
MOST_WORDS = 2000
"""Bytes of what the guest's git complains about."""
MOST_CHARACTERS = 255

Read = Callable[[int], bytes]
"""At most that many bytes of what the guest sends; none at its end."""

_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class GuestAnswer:
    """The lines that services/workspaces/guest/snapshot.py states."""

    tree: str
    prepared: str = ""
    base: str = ""
    head: str = ""
    branch: str = ""
    commits: int = 0
    rewritten: bool = False
    left: tuple[str, ...] = ()


def read_answer(read: Read, guest_path: str) -> GuestAnswer:
    """The answer, up to the empty line before the pack.

    Raises ``not_found`` when the workspace is gone from the guest, ``missing_tool`` without git
    there, ``guest_failed`` for whatever else the guest says.
    """
    lines: list[str] = []
    size = 0
    while (line := _line(read, MOST_BYTES - size)) != b"\n":
        size += len(line)
        if not line.endswith(b"\n") or len(lines) == MOST_LINES:
            raise _senseless()
        text = line[:-1].decode(errors="replace")
        if not lines and text.startswith("refused "):
            raise _refusal(text.removeprefix("refused "), _rest(read), printable(guest_path))
        lines.append(text)
    return _parsed(lines)


def _line(read: Read, most: int) -> bytes:
    """One line with its end. Byte by byte: what follows is the pack's reader's."""
    found = bytearray()
    while len(found) < most and (byte := read(1)):
        found += byte
        if byte == b"\n":
            break
    return bytes(found)


def _rest(read: Read) -> str:
    words = b""
    while len(words) < MOST_WORDS and (piece := read(MOST_WORDS - len(words))):
        words += piece
    return printable(words.decode(errors="replace").strip(), MOST_WORDS)


def _parsed(lines: list[str]) -> GuestAnswer:
    values: dict[str, str] = {}
    left = []
    for line in lines:
        key, _, value = line.partition(" ")
        if key == "left":
            left.append(printable(value, MOST_CHARACTERS))
        elif key in values:
            raise _senseless()
        values[key] = value
    oids = [values.get(key, "") for key in ("tree", "prepared", "base", "head")]
    commits = values.get("commits", "0")
    if not oids[0] or not _NUMBER.fullmatch(commits):
        raise _senseless()
    if any(oid and not _OID.fullmatch(oid) for oid in oids):
        raise _senseless()
    return GuestAnswer(
        tree=oids[0],
        prepared=oids[1],
        base=oids[2],
        head=oids[3],
        branch=printable(values.get("branch", ""), MOST_CHARACTERS),
        commits=int(commits),
        rewritten="rewritten" in values,
        left=tuple(left),
    )


def _refusal(kind: str, words: str, path: str) -> BangerError:
    match kind:
        case "git":
            return BangerError(
                Code.MISSING_TOOL, "the guest has no git", hint="install git in the guest"
            )
        case "path":
            return BangerError(
                Code.NOT_FOUND,
                f"the guest has no directory {path} any more",
                hint="place the repository again: banger vm workspace prepare",
            )
        case "repository":
            return BangerError(
                Code.NOT_FOUND,
                f"{path} in the guest is no git repository any more{_cause(words)}",
                hint="take the files out: banger vm cp",
            )
    return BangerError(Code.GUEST_FAILED, f"git in the guest could not read {path}{_cause(words)}")


def _cause(words: str) -> str:
    return f": {words}" if words else ""


def _senseless() -> BangerError:
    return BangerError(
        Code.GUEST_FAILED,
        "the guest did not say what its workspace holds",
        hint="check whether the guest works: banger vm health",
    )
