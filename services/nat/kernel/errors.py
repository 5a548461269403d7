"""Errors of the kernel, with what a person can do about them."""

import errno
import os

from shared.errors import BangerError, Code


def kernel_error(what: str, code: int) -> BangerError:
    """The error for ``what``, which the kernel refused with errno ``code``.

    It is ``denied`` when the privilege is missing and ``unavailable`` for every other reason.
    """
    if code in (errno.EPERM, errno.EACCES):
        return BangerError(
            Code.DENIED,
            f"{what}: the nat service may not change the host's network",
            hint='run it with CAP_NET_ADMIN, or set network = "user" in the configuration',
        )
    return BangerError(
        Code.UNAVAILABLE, f"{what}: {os.strerror(code)}", hint="see: banger daemon logs nat"
    )
