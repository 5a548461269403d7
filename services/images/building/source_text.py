"""Where a file that describes an image is wrong: errors name its line."""

from typing import NoReturn

from shared.errors import BangerError, Code
from shared.plain_text import printable

LONGEST_FILE = 1 << 20
"""Bytes of a Dockerfile, or of a TOML file."""
_SHOWN = 200


def refuse(file: str, line: int, problem: str, hint: str = "") -> NoReturn:
    """Raise ``invalid`` for line ``line`` (from 1; 0: the whole file)."""
    place = f"{file}:{line}" if line else file
    raise BangerError(
        Code.INVALID,
        f"{place}: {printable(problem, _SHOWN)}",
        hint=hint,
        details={"line": line},
    )
