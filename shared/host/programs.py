"""Where programs of the system are, and how our own start one another.

Many of the system are in sbin, which is not on an ordinary user's PATH. Ours are modules, in an
interpreter that imports nothing but the installation: neither PYTHONPATH nor a current directory
with a folder ``shared`` decides whose code runs.
"""

import os
import shutil
import sys

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of the system's own programs. A service with privilege searches no others."""


def search_path() -> str:
    """The user's PATH, then the system's directories."""
    return os.pathsep.join(filter(None, (os.environ.get("PATH"), SYSTEM_PATH)))


def find_program(name: str) -> str | None:
    """The path of the program ``name``, or None when it is not installed."""
    return shutil.which(name, path=search_path())


def isolation() -> tuple[str, ...]:
    """Options of python(1) that leave out PYTHON* variables, the current directory and the user's
    site-packages. The last stays where banger is installed in it."""
    user_site = getattr(sys.modules.get("site"), "USER_SITE", None)
    if user_site and __file__.startswith(f"{user_site}/"):
        return ("-E", "-P")
    return ("-I",)


def isolated_argv(module: str, *words: str) -> list[str]:
    """Runs one of our modules, such as ``services.store``, from whatever directory."""
    return [sys.executable, *isolation(), "-m", "banger", module, *words]


def child_argv(module: str, *words: str) -> list[str]:
    """As ``isolated_argv`` in an isolated process. One that a test or a developer has started
    without isolation starts its children without it, too."""
    if sys.flags.ignore_environment:
        return isolated_argv(module, *words)
    return [sys.executable, "-m", "banger", module, *words]
