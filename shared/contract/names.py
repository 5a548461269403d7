"""Names of VMs and images: DNS labels in lower case, used exactly as they are given."""

import re

from shared.errors import BangerError, Code

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""1 to 63 of a-z, 0-9 and -, no - at either end: a DNS label (RFC 1123 section 2.1)."""


def check_name(name: str, what: str) -> str:
    """Return ``name``. Raises ``invalid`` when it is not a name for ``what`` ("a VM")."""
    if not NAME.fullmatch(name):
        raise BangerError(
            Code.INVALID,
            f"{name!r} is not a valid name for {what}",
            hint="use 1 to 63 characters of a-z, 0-9 and -, without a - at either end",
        )
    return name
