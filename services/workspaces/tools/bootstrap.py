"""The installation of a repository's tools in the guest, by mise (docs/decisions/0037).

It goes on when the session has ended, and what becomes of it is in a log in the guest. It is a
courtesy: nothing that goes wrong with it makes a prepare fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Bootstrap:
    """One that was begun, or with ``wait`` has ended."""

    log: str = ""
    """The guest's file that says what becomes of it; "" where there is nothing to do."""
    notices: list[str] = field(default_factory=list)
    """What went wrong, for the user."""


def run(
    access: Access,
    wishes: Sequence[ToolWish],
    guest_path: str,
    *,
    wait: bool,
    progress: Progress,
    log: str = LOG,
) -> Bootstrap:
    """Begin to install ``wishes`` for the workspace ``guest_path``; with ``wait`` do it, and say
    each step by ``progress``. Never raises ``BangerError``."""
    if not wishes:
        return Bootstrap()
    args = [log, guest_path, *_words(wishes)]
    try:
        if wait:
            return Bootstrap(log, _install(access, args, progress))
        status = run_script(access, IN_BACKGROUND, [INSTALL, *args]).status
        reason = f"the guest's shell exited with {status}" if status else ""
    except BangerError as error:
        reason = error.message
    return Bootstrap("", [f"the tools are not installed: {reason}"]) if reason else Bootstrap(log)


def _install(access: Access, args: Sequence[str], progress: Progress) -> list[str]:
    """Returns notices."""
    last = ""
    with GuestSession(access, script_argv(INSTALL, args), idle_seconds=IDLE_SECONDS) as session:
        session.stdin.close()
        for _ in range(MOST_LINES):
            line = session.line()
            if not line:
                return [f"tools: {last}"] if session.finish() else []
            last = printable(line.decode(errors="replace"), LONGEST_LINE)
            progress("tools", last)
    raise too_much()


def _words(wishes: Sequence[ToolWish]) -> list[str]:
    """Of a file that mise reads by itself the name is enough: mise knows more of it than the plan,
    such as several versions of a tool, and options."""
    words = []
    for wish in wishes:
        own = wish.source in OWN_FILES
        words += ["here", wish.name] if own else ["pin", f"{wish.name}@{wish.version}"]
    return words
