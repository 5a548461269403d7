"""Why a file could not be copied: error numbers of either side as codes, and what to do about them.

A guest's tools have only words for it: those of strerror(3) in the C locale, which are fixed for
each error number.
"""

import errno
import os
from collections.abc import Iterable, Sequence

from shared.errors import BangerError, Code

CODES = {
    "ENOENT": Code.NOT_FOUND,
    "EACCES": Code.DENIED,
    "EPERM": Code.DENIED,
    "EROFS": Code.DENIED,
    "ENOSPC": Code.NO_SPACE,
    "EDQUOT": Code.NO_SPACE,
    "EISDIR": Code.CONFLICT,
    "ENOTDIR": Code.CONFLICT,
    "EEXIST": Code.CONFLICT,
    "ENOTEMPTY": Code.CONFLICT,
    "ETXTBSY": Code.CONFLICT,
    "EBUSY": Code.CONFLICT,
    "ENAMETOOLONG": Code.INVALID,
    "EINVAL": Code.INVALID,
    "ELOOP": Code.INVALID,
    "EFBIG": Code.TOO_LARGE,
}
"""Name of an error number → code. The others are ``invalid``."""

HINTS = {
    Code.NO_SPACE: "the copy is incomplete; free some space and copy again",
    Code.NOT_FOUND: "a relative path in a VM starts at the user's home directory",
    Code.DENIED: "copy as another user with -u, or to another place",
}

WORDS = {os.strerror(number): name for number, name in errno.errorcode.items() if name in CODES}
"""strerror(3) → name of the error number."""
OTHER_WORDS = {"Cannot mkdir: No such": "ENOENT", "Filename too long": "ENAMETOOLONG"}
"""What tools that are not GNU's say."""


SHOWN = 3
"""Lines of a guest that are shown."""


def failed(name: str, path: str, what: str = "") -> BangerError:
    """The error number called ``name`` met at ``path``; ``what`` replaces its words."""
    code = CODES.get(name, Code.INVALID)
    number = getattr(errno, name, 0)
    words = what or f"{os.strerror(number).lower()}"
    message = f"{path} {words}" if what else f"{path}: {words}"
    return BangerError(code, message, hint=HINTS.get(code, ""), details={"errno": name})


def of_os_error(error: OSError, path: str) -> BangerError:
    """What a system call of this host refused."""
    name = errno.errorcode.get(error.errno or 0, "EIO")
    code = CODES.get(name, Code.INVALID)
    words = (error.strerror or str(error)).lower()
    return BangerError(code, f"{path}: {words}", hint=HINTS.get(code, ""), details={"errno": name})


def guest_words(said: Sequence[str]) -> BangerError:
    """What the guest's programs said when they failed, lines without control characters."""
    text = "; ".join(said[:SHOWN]) or "the guest's tar failed without a message"
    if any("tar: not found" in line or "tar: command not found" in line for line in said):
        return BangerError(
            Code.MISSING_TOOL,
            "there is no tar in the guest",
            hint="install GNU tar there, such as with: apt-get install tar",
        )
    name = of_words(said)
    code = CODES.get(name or "", Code.GUEST_FAILED)
    details = {"errno": name} if name else {}
    return BangerError(code, text, hint=HINTS.get(code, ""), details=details)


def of_words(lines: Iterable[str]) -> str | None:
    """The name of the error number that a guest's tool speaks of; the first match counts."""
    known = WORDS | OTHER_WORDS
    for line in lines:
        for words, name in known.items():
            if words in line:
                return name
    return None
