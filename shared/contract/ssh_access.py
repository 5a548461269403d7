"""Command lines of OpenSSH that reach a guest. Pure, and cheap to import.

``Access`` says where a guest is, and which key and host key belong to it. The supervisor holds a
master connection (``master_argv``), and sessions of the CLI go over it
(``shared/ssh/shared_connection.py``).
"""

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
        # What a session passes on is its own choice (shared/contract/guest_command.py).
        "-o", "SendEnv=*",
        "-fN",
        _destination(access),
    ]  # fmt: skip


def control_argv(access: Access, command: str) -> list[str]:
    """``ssh -O command``: "check" (exit 0 when the master answers) or "exit"."""
    control = f"ControlPath={_literal(access.control)}"
    return ["ssh", "-F", "/dev/null", "-o", control, "-O", command, _destination(access)]


def _ssh(access: Access) -> list[str]:
    return ["ssh", "-F", "/dev/null", "-p", str(access.port), *options(access)]


def _destination(access: Access) -> str:
    return f"{access.user}@{access.host}"
