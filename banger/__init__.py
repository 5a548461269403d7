"""The one name that an installed banger has in a Python environment, and the command's entry.

Inside, the code is called ``cli``, ``services`` and ``shared``. Those names are common, so a wheel
keeps them in this package's directory (in a checkout they are beside it), and only our own
processes look there: the command by ``main``, all others as ``python -I -m banger MODULE``. See
docs/decisions/0020-isolation.md.
"""

import os
import sys
from typing import NoReturn

_HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = _HERE if os.path.isdir(f"{_HERE}/cli") else os.path.dirname(_HERE)
"""The directory of ``cli``, ``services`` and ``shared``."""


def main() -> NoReturn:
    """The command ``banger``. A script of an environment cannot ask for ``python -I``, and another
    interpreter would cost 10 ms, so what -I leaves out of the path is taken out here."""
    if not sys.flags.isolated:
        sys.path[:] = own_entries(sys.path, os.environ.get("PYTHONPATH", ""), _user_site())
    sys.path.insert(0, ROOT)
    from cli.__main__ import main as run

    run()


def own_entries(path: list[str], python_path: str, user_site: str) -> list[str]:
    """``path`` without its first entry (the directory of the script, or the current one), those of
    PYTHONPATH, and the user's site-packages, unless banger is installed there. Pure."""
    foreign = {"", user_site if not _HERE.startswith(f"{user_site}/") else ""}
    if python_path:
        foreign.update(map(os.path.abspath, python_path.split(os.pathsep)))
    return [entry for entry in path[1:] if entry not in foreign]


def _user_site() -> str:
    return str(getattr(sys.modules.get("site"), "USER_SITE", None) or "")
