"""The installation of a repository's tools in the guest, by mise (docs/decisions/0037).

It goes on when the session has ended, and what becomes of it is in a log in the guest. It is a
courtesy: nothing that goes wrong with it makes a prepare fail.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from services.workspaces.guest.session import GuestSession, run_script, script_argv, too_much
from services.workspaces.tools.plan import OWN_FILES
from shared.contract.messages.workspace import ToolWish
from shared.contract.ssh_access import Access
from shared.errors import BangerError
from shared.plain_text import printable

LOG = "/var/log/banger-bootstrap.log"
"""In the guest."""
IDLE_SECONDS = 3600.0
"""How long one tool may take while somebody waits for all of them."""
MOST_LINES = 1000
LONGEST_LINE = 200

INSTALL = (Path(__file__).parent / "bootstrap.sh").read_text()
IN_BACKGROUND = """
if command -v setsid >/dev/null; then apart=setsid; else apart='/run/banger/busybox setsid'; fi
script=$1
shift
$apart sh -c "$script" sh "$@" </dev/null >/dev/null 2>&1 &
"""
"""Runs ``$1`` in a session of its own, which the end of this one does not end."""

Progress = Callable[[str, str], None]


def run(
    access: Access,
    wishes: Sequence[ToolWish],
    guest_path: str,
    *,
    wait: bool,
    progress: Progress,
    log: str = LOG,
) -> str:
    """Begin to install ``wishes`` for the workspace ``guest_path``, or with ``wait`` do it.

    Returns the guest's file that says what becomes of it; "" where it could not begin. Says the
    steps that it waits for, and what failed, by ``progress``, and never raises ``BangerError``.
    """
    if not wishes:
        return ""
    args = [log, guest_path, *_words(wishes)]
    try:
        if wait:
            _install(access, args, progress)
        elif status := run_script(access, IN_BACKGROUND, [INSTALL, *args]).status:
            progress("tools", f"the tools are not installed: sh exited with {status}")
            return ""
    except BangerError as error:
        progress("tools", f"the tools are not installed: {error.message}")
        return ""
    return log


def _install(access: Access, args: Sequence[str], progress: Progress) -> None:
    argv = script_argv(INSTALL, args)
    with GuestSession(access, argv, idle_seconds=IDLE_SECONDS) as session:
        session.stdin.close()
        for _ in range(MOST_LINES):
            line = session.line()
            if not line:
                break
            progress("tools", printable(line.decode(errors="replace"), LONGEST_LINE))
        else:
            raise too_much()
        session.finish()


def _words(wishes: Sequence[ToolWish]) -> list[str]:
    """Of a file that mise reads by itself the name is enough: mise knows more of it than the plan,
    such as several versions of a tool, and options."""
    words = []
    for wish in wishes:
        own = wish.source in OWN_FILES
        words += ["here", wish.name] if own else ["pin", f"{wish.name}@{wish.version}"]
    return words
