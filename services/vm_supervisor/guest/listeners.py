"""The ports that a guest listens on, read by its agent from the kernel's tables.

The tables are opened once and then read again and again. For every file that it opens and closes,
the agent writes three lines into the guest's journal: four files a second took a sixth of an
emulated processor.
"""

from collections.abc import Iterator

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.sockets import ListeningPort, parse_sockets
from shared.contract.messages.vm import Protocol
from shared.errors import BangerError, Code

_TABLES: tuple[tuple[Protocol, str], ...] = (
    ("tcp", "/proc/net/tcp"),
    ("tcp", "/proc/net/tcp6"),
    ("udp", "/proc/net/udp"),
    ("udp", "/proc/net/udp6"),
)


MOST_PORTS = 512
"""Ports of a protocol that are read; the kernel lists listening TCP sockets before connections."""


class Listeners:
    """The tables of ``protocols`` in one guest."""

    def __init__(self, agent: Agent, *protocols: Protocol) -> None:
        self._agent = agent
        self._tables = [table for table in _TABLES if table[0] in protocols]
        self._handles: dict[str, int] = {}

    async def ports(self, deadline: float) -> list[ListeningPort]:
        """Listening TCP and bound UDP sockets, sorted, without repeats. Raises as ``Agent``."""
        found: dict[Protocol, set[ListeningPort]] = {"tcp": set(), "udp": set()}
        for protocol, path in self._tables:
            table = await self._read(path, deadline)
            _fill(found[protocol], parse_sockets(protocol, table))
        return sorted(found["tcp"] | found["udp"])

    async def _read(self, path: str, deadline: float) -> bytes:
        """A table; empty where the guest has none, as one without IPv6 has no tcp6."""
        try:
            return await self._read_opened(path, deadline)
        except BangerError as error:
            if error.code is Code.NOT_FOUND:
                return b""
            raise

    async def _read_opened(self, path: str, deadline: float) -> bytes:
        """A table, which is opened again if its handle is of an agent that has ended."""
        if path in self._handles:
            try:
                return await self._agent.read_again(self._handles[path], deadline)
            except BangerError as error:
                del self._handles[path]
                if error.code is not Code.GUEST_FAILED:
                    raise
        self._handles[path] = await self._agent.open_file(path, deadline)
        return await self._agent.read_again(self._handles[path], deadline)


def _fill(found: set[ListeningPort], ports: Iterator[ListeningPort]) -> None:
    """Add ``ports`` up to the limit; no row after that is parsed."""
    while len(found) < MOST_PORTS and (port := next(ports, None)):
        found.add(port)
