"""The way to the guest's agent: a Unix socket of the VMM, before a virtio-serial port or vsock.

A virtio-serial port keeps what is written until the agent opens its end. Behind vsock are all ports
of the guest: a client names the one that it means, and is disconnected as long as nothing listens
there (docs/vsock.md of Firecracker, "Host-Initiated Connections").
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BangerError, Code
from shared.host.unix_socket import connect

VSOCK_PORT = 1024
"""Where the agent listens; guest/rootfs/start reads it from the initrd."""
GUEST_CID = 3
"""The same in every guest, since each VMM has a socket of its own. 0 to 2 are reserved."""

RESET_SECONDS = 10.0
"""What a guest may take to refuse a connection: 0.1 s, on a busy host that emulates it seconds."""
_KNOCK_SECONDS = 1.5
"""After 2 s Firecracker closes a connection that the guest has not answered (its vsock backend's
CONN_REQUEST_TIMEOUT_MS), which looks like a refusal."""
_CLOSED_PORT = 0xFFFF_FFF0
"""Nobody listens there: a program would have to ask for it by number."""
_RETRY_SECONDS = 0.01
_ANSWER_SECONDS = 0.5


@dataclass(frozen=True)
class AgentAddress:
    """``socket``: a Unix socket of the VMM; ``vsock_port``: the port behind it, None for a
    virtio-serial port."""

    socket: Path
    vsock_port: int | None = None


OpenChannel = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_channel(address: AgentAddress, limit: int) -> OpenChannel:
    """Connect, trying again until that succeeds or the task is cancelled. ``limit``: the longest
    line in bytes.

    Raises:
        BangerError: ``guest_failed`` when the socket cannot be used.
    """
    while True:
        try:
            reader, writer = await connect(address.socket, limit=limit)
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # the VMM makes the socket some milliseconds after it starts
        except OSError as error:
            message = f"the guest agent's socket {address.socket}: {error.strerror}"
            raise BangerError(Code.GUEST_FAILED, message) from error
        else:
            if address.vsock_port is None or await _accepted(reader, writer, address.vsock_port):
                return reader, writer
            writer.close()
        await asyncio.sleep(_RETRY_SECONDS)


async def _accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> bool:
    """Whether the agent listens. A request made before the guest has its driver may never be
    answered, so an answer is not waited for long."""
    writer.write(f"CONNECT {port}\n".encode())
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await reader.readline()
    except (OSError, TimeoutError, ValueError):  # the last: a line without an end
        return False
    return answer.startswith(b"OK ")


async def await_reset(socket: Path) -> bool:
    """Wait until a guest that has just been resumed has reset its vsock connections.

    A save leaves it the order to do so (VIRTIO_VSOCK_EVENT_TRANSPORT_RESET), which it would carry
    out on a connection that is made too early, too; its agent never notices the end of that one.
    The kernel of the guest answers in order, so a port where nothing listens is knocked at first.

    Returns whether the guest has refused it; one that hangs has ``RESET_SECONDS`` for it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RESET_SECONDS):
            while not await _refuses(socket):
                pass
            return True
    return False


async def _refuses(socket: Path) -> bool:
    """Whether the guest itself refuses a connection soon."""
    reader, writer = await _connected(socket)
    try:
        async with asyncio.timeout(_KNOCK_SECONDS):
            writer.write(f"CONNECT {_CLOSED_PORT}\n".encode())
            await reader.read()
    except TimeoutError:
        return False
    except OSError:  # closed with our line unread
        pass
    finally:
        writer.close()
    return True


async def _connected(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return await connect(socket)
        await asyncio.sleep(_RETRY_SECONDS)
