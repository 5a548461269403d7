"""Why a build program failed, from what it printed. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import BangerError, Code


@dataclass(frozen=True)
class _Cause:
    """A reason, and the texts (``signs``) in the output that tell it."""

    signs: tuple[str, ...]
    code: Code
    reason: str
    hint: str


_CAUSES = (
    _Cause(
        ("No space left on device", "not enough free space", "enough free space in"),
        Code.NO_SPACE,
        "the disk is full",
        "free some space (df -h), or set TMPDIR to a directory on a larger disk",
    ),
    _Cause(
        ("Disk quota exceeded",),
        Code.NO_SPACE,
        "your disk quota is used up",
        "free some space, or set TMPDIR to a directory without a quota",
    ),
    _Cause(
        ("NO_PUBKEY", "is not signed", "signatures couldn't be verified"),
        Code.MISSING_TOOL,
        "this machine does not have the key that signs the package index",
        "sudo apt install debian-archive-keyring (a current version of it)",
    ),
    _Cause(
        (
            "Could not resolve",
            "Temporary failure resolving",
            "Could not connect",
            "Failed to fetch",
        ),
        Code.UNREACHABLE,
        "the package mirror cannot be reached",
        "check the network, a proxy, or `mirror` in the configuration file, then try again",
    ),
    _Cause(
        ("Not found in archive",),
        Code.INVALID,
        "the package does not hold a kernel and its modules",
        "the mirror may be of another distribution: check `mirror` in the configuration file",
    ),
    _Cause(
        ("/etc/subuid", "/etc/subgid", "newuidmap", "newgidmap"),
        Code.DENIED,
        "this user has no range of subordinate ids",
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    ),
    _Cause(
        ("unprivileged_userns", "unshare failed", "unshare: ", "CLONE_NEWUSER"),
        Code.DENIED,
        "users may not make user namespaces on this machine",
        "allow them (sysctl kernel.unprivileged_userns_clone), or run the services as root",
    ),
)

_UNKNOWN_PACKAGE = re.compile(
    r"(?:Unable to locate package|no packages found matching) (\S+)"
    r"|Package '?([^\s']+)'? has no installation candidate"
)
"""How apt and dpkg-query report a package that does not exist."""


def diagnose(what: str, program: str, status: int, lines: Sequence[str]) -> BangerError:
    """The error for ``program``, which failed while ``what`` was made.

    ``lines`` are the last of its stderr. The last five go into the details.
    """
    last = [_short(line) for line in lines if line][-5:]
    if unknown := _unknown_packages(lines):
        return BangerError(
            Code.NOT_FOUND,
            f"cannot make {what}: the mirror has no package {', '.join(unknown)}",
            hint="check the spelling (apt search), or `mirror` in the configuration file",
            details={"output": last},
        )
    for cause in _CAUSES:
        if any(sign in line for line in lines for sign in cause.signs):
            message = f"cannot make {what}: {cause.reason}"
            return BangerError(cause.code, message, hint=cause.hint, details={"output": last})
    said = _complaint(lines) or f"status {status}"
    return BangerError(
        Code.INTERNAL,
        f"cannot make {what}: {program} failed: {said}",
        hint="see its last lines: banger daemon logs images",
        details={"output": last},
    )


def _unknown_packages(lines: Sequence[str]) -> list[str]:
    found = (match for line in lines for match in _UNKNOWN_PACKAGE.finditer(line))
    return sorted({match[1] or match[2] for match in found})


def _complaint(lines: Sequence[str]) -> str:
    """The first line that says what is wrong. Later ones are mostly consequences."""
    for line in lines:
        if line.startswith(("E: ", "FATAL ERROR", "error: ")):
            return _short(line)
    return _short(lines[-1]) if lines else ""


def _short(line: str, limit: int = 200) -> str:
    return line if len(line) <= limit else f"{line[:limit]}…"
