"""Programs: where those of the system are, how our own start one another, and what of the
environment is passed on.

Many of the system are in sbin, which is not on an ordinary user's PATH. Ours are modules, in an
interpreter that imports nothing but the installation: neither PYTHONPATH nor a current directory
with a folder ``shared`` decides whose code runs.
"""

import os
import shutil
import sys
from collections.abc import Mapping

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of the system's own programs. A service with privilege searches no others."""


PASSED_ON = frozenset("PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR".split())
PREFIXES = ("BANGER_", "COVERAGE_", "LC_", "PYTHON", "XDG_")
"""COVERAGE_: docs/testing.md measures every process."""
PROXIES = frozenset(f"{kind}_proxy" for kind in ("http", "https", "ftp", "all", "no"))
"""For downloads. Their values may hold a password."""


def chosen_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a service is started with: the services outlive the command that happened to be the
    first, whose environment may hold the tokens of its terminal or CI job."""
    proxies = {name: value for name, value in environment.items() if name.lower() in PROXIES}
    return program_environment(environment) | proxies


def program_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a VMM and ssh are started with: as a service, without the proxies."""
    return {
        name: value
        for name, value in environment.items()
        if name in PASSED_ON or name.startswith(PREFIXES)
    }


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
