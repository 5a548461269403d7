"""The qemu-guest-agent in the guest, spoken to over its Unix socket (one client at a time)::

    agent = await Agent.connect(socket, deadline=monotonic() + 30)  # returns when it answers
    result = await agent.execute(["uname", "-r"], deadline=...)
    ports = await agent.listening_ports(deadline=...)
    await agent.power_off()
    agent.close()

``connect`` may be called before the guest has booted: the request waits in the socket until the
agent opens its port. Deadlines are absolute, time.monotonic() seconds.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Executed:
    """What a command in the guest did. ``status`` is negative for a signal."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class ListeningPort:
    """A socket that accepts from outside or from the guest's loopback only."""

    protocol: str  # "tcp" or "udp"
    address: str
    port: int


class Agent:
    """One connection. A call that misses its deadline raises ``timeout`` and resyncs later."""

    @classmethod
    async def connect(cls, socket: Path, deadline: float) -> "Agent":
        """Wait until the agent answers. Raises ``timeout``, ``guest_failed``."""
        raise NotImplementedError

    async def ping(self, deadline: float) -> None:
        raise NotImplementedError

    async def execute(
        self,
        argv: list[str],
        deadline: float,
        *,
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
    ) -> Executed:
        raise NotImplementedError

    async def power_off(self) -> None:
        """Ask for a clean shutdown; returns when the guest has accepted it, not when it is off."""
        raise NotImplementedError

    async def set_time(self, deadline: float) -> None:
        """Set the guest's clock to the host's (after a resume)."""
        raise NotImplementedError

    async def addresses(self, deadline: float) -> dict[str, list[str]]:
        """IP addresses by interface name."""
        raise NotImplementedError

    async def read_file(self, path: str, deadline: float) -> bytes:
        raise NotImplementedError

    async def freeze(self, deadline: float) -> int:
        """Freeze all filesystems; returns how many. The agent allows nothing but thaw after."""
        raise NotImplementedError

    async def thaw(self, deadline: float) -> int:
        raise NotImplementedError

    async def listening_ports(self, deadline: float) -> list[ListeningPort]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
