"""Command lines of OpenSSH that reach a guest. Pure, and cheap to import.

``Access`` says where a guest is, and which key and host key belong to it. The supervisor holds a
master connection (``master_argv``), and sessions of the CLI go over it (``session_argv``)::

    argv = session_argv(access, remote_command(["sh", "-c", "exit 42"], cwd="/root/repo"))
    os.execvp(argv[0], argv)
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """How to reach a guest's sshd. Paths are of this host; the fields go over the bus."""

    host: str
    port: int
    key: str
    known_hosts: str
    alias: str
    """The VM's id: the host key is stored under it (HostKeyAlias), whatever the address is."""
    control: str
    """The socket of the shared connection."""
    user: str = "root"


def options(access: Access) -> list[str]:
    """The -o options of every connection."""
    values = {
        "HostKeyAlias": access.alias,
        "UserKnownHostsFile": access.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentityFile": access.key,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "BatchMode": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "LogLevel": "ERROR",
        # In an emulated guest a person feels each round trip and slow cipher.
        "KexAlgorithms": "curve25519-sha256",
        "HostKeyAlgorithms": "ssh-ed25519",
        "Ciphers": "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com",
        "GSSAPIAuthentication": "no",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
    }
    # ssh would split a file name with spaces, and expand a % in it.
    return [part for key, value in values.items() for part in ("-o", f"{key}={_literal(value)}")]


def _literal(value: str) -> str:
    escaped = value.replace("%", "%%")
    return f'"{escaped}"' if " " in escaped else escaped


def master_argv(access: Access, log: str) -> list[str]:
    """``ssh`` that authenticates, goes to the background and holds the control socket.

    Its messages go to the file ``log``.
    """
    return [
        *_ssh(access),
        "-E", log,
        "-o", "ControlMaster=yes",
        "-o", f"ControlPath={_literal(access.control)}",
        "-o", "ServerAliveInterval=15",
        "-fN",
        _destination(access),
    ]  # fmt: skip


def session_argv(access: Access, command: str = "", *, tty: bool = False) -> list[str]:
    """``ssh`` for one session over the shared connection, or over one of its own without it.

    ``command`` is one string for the guest's shell (see ``remote_command``); empty means a
    login shell.
    """
    return [
        *_ssh(access),
        *_over_shared_connection(access),
        "-tt" if tty else "-T",  # twice: also when our own stdin is not a terminal
        _destination(access),
        *([command] if command else []),
    ]


def control_argv(access: Access, command: str) -> list[str]:
    """``ssh -O command``: "check" (exit 0 when the master answers) or "exit"."""
    control = f"ControlPath={_literal(access.control)}"
    return ["ssh", "-F", "/dev/null", "-o", control, "-O", command, _destination(access)]


def remote_command(
    argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] | None = None
) -> str:
    """The string that makes the guest's shell run exactly ``argv``.

    sshd gives the string to the user's shell, so every word is quoted: ``sh -c 'exit 42'``
    exits with 42. A command that a signal N ended gives 128+N, as in a shell; 126 says that
    ``cwd`` cannot be entered.
    """
    words = [f"{name}={value}" for name, value in (env or {}).items()]
    command = shlex.join(["env", *words, *argv] if words else argv)
    enter = f"cd {shlex.quote(cwd)} || exit 126; " if cwd else ""
    # The shell stays as the parent, because ssh turns "killed by a signal" into 255. Its own
    # remarks ("Terminated") go nowhere: hence the subshell, without which dash would make them
    # on the command's stderr. Ctrl-C on a terminal must not end it before the command.
    return f"{enter}trap : INT QUIT; exec 3>&2 2>/dev/null; (exec {command}) 2>&3 3>&-; exit $?"


MARK = "BANGER_EXEC"
"""Environment variable that marks a command and what it starts, for ``signal_command``."""


def signal_command(token: str, signal_name: str) -> str:
    """Shell text that sends a signal to every process of the guest marked with ``token``.

    Exits with 1 when there was none (yet). ``token`` and ``signal_name`` (e.g. "INT") are
    letters and digits. Needs only what POSIX demands: sh, grep -l, /proc being Linux's.
    """
    marked = f"$(grep -ls {MARK}={token} /proc/[0-9]*/environ)"
    send = f"kill -s {signal_name} $p && n=0"
    return f"n=1; for e in {marked}; do p=${{e%/environ}}; p=${{p#/proc/}}; {send}; done; exit $n"


def _over_shared_connection(access: Access) -> list[str]:
    return ["-o", "ControlMaster=no", "-o", f"ControlPath={_literal(access.control)}"]


def _ssh(access: Access) -> list[str]:
    return ["ssh", "-F", "/dev/null", "-p", str(access.port), *options(access)]


def _destination(access: Access) -> str:
    return f"{access.user}@{access.host}"
