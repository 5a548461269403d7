"""Names of VMs, images and kernels: DNS labels in lower case, used exactly as they are given."""

import re
from collections.abc import Sequence
from typing import Literal

from shared.errors import BangerError, Code

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""1 to 63 of a-z, 0-9 and -, no - at either end: a DNS label (RFC 1123 section 2.1)."""

NAMES_SHOWN = 10
"""Names that the text of an error lists."""
NAMES_CARRIED = 100
"""Names that its details list, for programs."""


def few(names: Sequence[str]) -> str:
    """The first of ``names`` and how many more there are, for an error: "a, b and 3 more"."""
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


What = Literal["a VM", "an image", "a kernel", "a snapshot"]
ID_LENGTHS: dict[What, int] = {"a VM": 12, "an image": 16, "a kernel": 16}
"""How many hexadecimal digits an id has. A snapshot has none."""


def check_name(name: str, what: What) -> str:
    """Return ``name``.

    Raises:
        BangerError: ``invalid`` when ``what`` cannot be called so. A name of the form of an id is
            refused, because a reference by that id would mean something else.
    """
    if not NAME.fullmatch(name):
        raise BangerError(
            Code.INVALID,
            f"{name!r} is not a valid name for {what}",
            hint="use 1 to 63 characters of a-z, 0-9 and -, without a - at either end",
        )
    digits = ID_LENGTHS.get(what)
    if digits and re.fullmatch(f"[0-9a-f]{{{digits}}}", name):
        raise BangerError(
            Code.INVALID,
            f"{name!r} is not a valid name for {what}: it has the form of an id",
            hint=f"use a name that is not {digits} hexadecimal digits",
        )
    return name
