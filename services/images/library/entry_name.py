"""Names of images and kernels, and the names of their links in ``by-name``.

A user's name follows shared/contract/names.py; an image's may have a tag after it, ``web:2``. What
was pulled is called as its source calls it, ``registry:5000/team/web:2`` or with ``@sha256:…``
(docker's reference grammar, in lower case but for tags), and that is its name.
"""

import re

from shared.contract.names import ID_LENGTHS, What, check_name
from shared.errors import BangerError, Code

LONGEST = 220
"""Characters. A link's name has 255 bytes at most (NAME_MAX), and a slash takes three of them."""

_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PULLED = re.compile(
    rf"{_PART}(?::[0-9]{{1,5}}(?=/))?(?:/{_PART})*(?::{_TAG})?(?:@sha256:[0-9a-f]{{64}})?"
)


def check_user_name(name: str, what: What = "an image") -> str:
    """Return ``name``, which a user gives to an image: a name, and maybe a tag after a colon.

    Raises:
        BangerError: ``invalid``.
    """
    plain, colon, tag = name.partition(":")
    check_name(plain, what)
    if colon and not re.fullmatch(_TAG, tag):
        raise BangerError(
            Code.INVALID,
            f"{name!r} is not a valid name for {what}",
            hint="a tag is up to 128 characters of A-Z, a-z, 0-9, _, . and -, as in web:2",
        )
    return name


def check_entry_name(name: str) -> str:
    """Return ``name``, which a user or a source gives.

    Raises:
        BangerError: ``invalid`` for a name that no link can have, or that has the form of an id.
    """
    fits = len(name) <= LONGEST and len(file_name(name)) <= 255 - len(".banger-new-")
    an_id = re.fullmatch(f"[0-9a-f]{{{ID_LENGTHS['an image']}}}", name)
    if not fits or an_id or not _PULLED.fullmatch(name):
        raise BangerError(Code.INVALID, f"{name[:LONGEST]!r} is not a valid name for an image")
    return name


def file_name(name: str) -> str:
    """The name of the link: no name has a ``%``."""
    return name.replace("/", "%2F")


def name_of(file: str) -> str:
    """The name whose link has the name ``file``."""
    return file.replace("%2F", "/")
