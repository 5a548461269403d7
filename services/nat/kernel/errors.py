"""What an errno of the kernel means to the person who wanted a bridge."""

import errno
import os

from shared.errors import BangerError, Code


def refusal(what: str, code: int) -> BangerError:
    """The error for ``what``, refused by the kernel with errno ``code``.

    ``denied`` when the privilege is missing, ``unavailable`` for every other reason.
    """
    if code in (errno.EPERM, errno.EACCES):
        return BangerError(
            Code.DENIED,
            f"{what}: the nat service may not change the host's network",
            hint='run it with CAP_NET_ADMIN (banger system install), or set network = "user"',
        )
    return BangerError(
        Code.UNAVAILABLE, f"{what}: {os.strerror(code)}", hint="see: banger daemon logs nat"
    )
