"""Where programs of the system are: many live in sbin, which an ordinary user's PATH leaves out."""

import os
import shutil

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of the system's own programs, for those who must not trust a user's PATH."""


def search_path() -> str:
    """The user's PATH, then the system's directories."""
    return os.pathsep.join(filter(None, (os.environ.get("PATH"), SYSTEM_PATH)))


def find_program(name: str) -> str | None:
    """The path of the program ``name``, or None when it is not installed."""
    return shutil.which(name, path=search_path())
