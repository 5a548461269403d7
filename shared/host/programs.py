"""Programs: where those of the system are, and what of the environment is passed on to ours.

Many are in sbin, which is not on an ordinary user's PATH.
"""

import os
import shutil
from collections.abc import Mapping

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of the system's own programs. A service with privilege searches no others."""


PASSED_ON = frozenset("PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR".split())
PREFIXES = ("BANGER_", "LC_", "PYTHON", "XDG_")
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
