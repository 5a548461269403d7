"""Where programs of the system are. Many are in sbin, which is not on an ordinary user's PATH."""

import os
import shutil

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of the system's own programs. A service with privilege searches no others."""


def search_path() -> str:
    """The user's PATH, then the system's directories."""
    return os.pathsep.join(filter(None, (os.environ.get("PATH"), SYSTEM_PATH)))


def find_program(name: str) -> str | None:
    """The path of the program ``name``, or None when it is not installed."""
    return shutil.which(name, path=search_path())
