"""The supervisor's side of ssh: keys, the pin, and the shared connection that sessions use::

    ensure_key(paths.ssh_key)                       # banger's own, once
    host_key = ensure_key(state / "host_key")       # the guest's, before its first boot
    write_known_hosts(access, host_key.public)
    await start_master(access, log, deadline)       # returns when sessions can use it
    ...
    await stop_master(access)

The master is in its own session and outlives the supervisor; ``master_pid`` finds it again.
"""

from dataclasses import dataclass
from pathlib import Path

from shared.ssh import Access


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key: OpenSSH private key text, and the one-line public key."""

    private: str
    public: str


def ensure_key(path: Path, comment: str = "banger") -> KeyPair:
    """Read the key at ``path`` (``.pub`` beside it), or make it, mode 0600, atomically."""
    raise NotImplementedError


def write_known_hosts(access: Access, public: str) -> None:
    """Pin ``public`` as the only host key of ``access.alias``."""
    raise NotImplementedError


async def start_master(access: Access, log: Path, deadline: float) -> None:
    """Open the shared connection as soon as the guest's sshd answers.

    Raises:
        BangerError: ``timeout`` when it did not before ``deadline`` (time.monotonic()).
    """
    raise NotImplementedError


async def master_pid(access: Access) -> int | None:
    """The pid of a master that answers, or None."""
    raise NotImplementedError


async def stop_master(access: Access) -> None:
    """End the shared connection and its sessions; fine when there is none."""
    raise NotImplementedError
