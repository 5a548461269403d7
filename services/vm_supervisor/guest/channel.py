"""The way to the guest's agent: a Unix socket that the VMM serves, with vsock behind it or not.

QEMU joins its socket to a virtio-serial port: what is written waits there until the agent opens its
end. Firecracker joins its socket to all vsock ports of the guest: a client says which one it means,
and is cut off as long as nobody listens (its docs/vsock.md, "Host-Initiated Connections").
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

VSOCK_PORT = 1024
"""Where the agent listens; told to guest/init by the initrd."""
GUEST_CID = 3
"""Every guest's: each VMM has a socket of its own, so nobody else sees it. 0 to 2 are reserved."""

_RETRY_SECONDS = 0.01
_ANSWER_SECONDS = 0.5


@dataclass(frozen=True)
class AgentAddress:
    """``socket``: a Unix socket of the VMM; ``vsock_port``: the port behind it, if it is vsock."""

    socket: Path
    vsock_port: int | None = None


async def open_channel(
    address: AgentAddress, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, as often as it takes; ``limit``: longest line in bytes. Ends by cancellation."""
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(address.socket, limit=limit)
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # the VMM makes the socket some milliseconds after it starts
        else:
            if address.vsock_port is None or await _accepted(reader, writer, address.vsock_port):
                return reader, writer
            writer.close()
        await asyncio.sleep(_RETRY_SECONDS)


async def _accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> bool:
    """Whether somebody listens. A request made before the guest has a driver may stay without an
    answer, so none is waited for long."""
    writer.write(f"CONNECT {port}\n".encode())
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await reader.readline()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"OK ")
