"""What a name is, for VMs and for images: a DNS label in lower case, never rewritten."""

import re

from shared.errors import BangerError, Code

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""1-63 of a-z 0-9 -, no dash at either end: a DNS label (RFC 1123 section 2.1), lower case."""


def check_name(name: str, what: str) -> str:
    """The name itself. Raises ``invalid``, saying that it is not a name for ``what``."""
    if not NAME.fullmatch(name):
        raise BangerError(
            Code.INVALID,
            f"{name!r} is not a name for {what}",
            hint="use 1 to 63 of a-z, 0-9 and -, without a dash at either end",
        )
    return name
