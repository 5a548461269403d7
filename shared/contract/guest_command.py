"""A command for a guest, as the program that init puts there takes it. Pure, and cheap to import.

sshd hands a command to the user's login shell, whatever that is: fish, or nothing that runs
commands at all. So what sshd gets is one plain word, ``PROGRAM``, and the command is the value of
an environment variable, which no other user of host or guest can read and no log holds. The program
is ``services/vm_supervisor/guest/rootfs/exec``.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.errors import BangerError, Code

PROGRAM = "/run/banger/exec"
VARIABLE = "BANGER_EXEC"
LONGEST = 120 << 10
"""Bytes of words and variables, quoted. The kernel takes 128 KiB as one string (MAX_ARG_STRLEN,
execve(2)); OpenSSH 256 KiB as one message."""
NO_START_UP_FILES = {
    # bash: not the first shell that sshd starts, so it leaves ~/.bashrc out (SSH_SOURCE_BASHRC).
    "SHLVL": "1",
    # zsh, fish: their files are in directories that do not exist.
    "ZDOTDIR": "/run/banger/none",
    "XDG_CONFIG_HOME": "/run/banger/none",
}
"""Variables for the login shell. ``PROGRAM`` takes them back."""

NO_USER = "no-user"


@dataclass(frozen=True)
class GuestCommand:
    """Exactly these words; a login shell without any."""

    argv: Sequence[str]
    cwd: str = ""
    """Where it starts; empty for the home directory."""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    """Name or number, with ``:`` and a group of either form or not, as docker has it; empty for
    root."""
    terminal: bool = False
    fallback: bool = False
    """Start in the home directory where ``cwd`` cannot be entered, and say so."""
    mise: bool = False
    """Run it by ``mise exec`` where the guest has mise, and ``cwd`` is a workspace with tools for
    it. A login shell then becomes an ordinary one, which keeps the PATH."""
    plain_shell: bool = False
    """Without words: an ordinary shell, for the same reason."""


def in_workspace(command: GuestCommand, workspace: str) -> GuestCommand:
    """The command with the tools of ``workspace``, a directory of the guest, and in it if it is
    there; unchanged for ""."""
    if not workspace:
        return command
    return replace(command, cwd=workspace, fallback=True, mise=True)


def environment(command: GuestCommand, token: str) -> list[bytes]:
    """``NAME=VALUE`` of the session that runs ``PROGRAM``. ``token`` (letters and digits) is what
    its announcement begins with.

    Raises:
        BangerError: ``invalid`` when words and variables are too long.
    """
    text = os.fsencode(f"{VARIABLE}={text_of(command, token)}")
    if len(text) > LONGEST:
        raise BangerError(
            Code.INVALID,
            f"the command's words and variables have {len(text) >> 10} KiB, "
            f"but at most {LONGEST >> 10} KiB reach a guest",
            hint="send long values on standard input, or as a file: banger vm cp",
        )
    return [*login_environment(), text]


def login_environment() -> list[bytes]:
    """``NO_START_UP_FILES`` as ``NAME=VALUE``."""
    return [f"{name}={value}".encode() for name, value in NO_START_UP_FILES.items()]


def text_of(command: GuestCommand, token: str) -> str:
    """The value of ``VARIABLE``: shell text."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in command.env.items())
    values = {
        "token": token,
        "user": command.user,
        "cwd": command.cwd,
        "tty": "yes" if command.terminal else "",
        "fallback": "yes" if command.fallback else "",
        "mise": "yes" if command.mise else "",
        "plain": "yes" if command.plain_shell else "",
        "variables": f"export {exports}" if exports else "",
    }
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    return f"{assignments}; set -- {shlex.join(command.argv)}"


def signal_word(name: str, target: str) -> str:
    """What sshd is given to signal a command: ``target`` is its announced process group, or the
    token of a command with a terminal; ``name`` e.g. "INT"."""
    return f"{PROGRAM} signal {name} {target}"


class Announcement:
    """Takes the line out of the guest's stderr by which ``PROGRAM`` says how the start went.

    ``word`` is "" before it has come, then the command's process group, ``NO_USER``, or another
    word for why there is no command. What a login shell says before it is kept in ``before``.
    """

    MOST = 4096
    """Bytes that may come before it."""

    def __init__(self, token: str) -> None:
        self.word = ""
        self.before = b""
        self._mark = b"\0" + token.encode() + b" "

    def take(self, piece: bytes) -> bytes:
        """What of ``piece`` is the command's."""
        if self.word:
            return piece
        self.before += piece
        start = self.before.find(self._mark)
        end = self.before.find(b"\n", start) if start >= 0 else -1
        if end < 0:
            self.before = self.before[-self.MOST :]
            return b""
        self.word = self.before[start + len(self._mark) : end].decode(errors="replace")
        rest = self.before[end + 1 :]
        self.before = self.before[:start]
        return rest

    @property
    def started(self) -> bool:
        """Whether there is a command that can be signalled."""
        return self.word.isdigit()
