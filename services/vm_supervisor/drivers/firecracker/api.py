"""Firecracker's API: HTTP/1.1 over its Unix socket, one request at a time.

h11 knows the protocol; this module has the connection. Every refusal carries a ``fault_message``,
which becomes the error's message.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import h11

from services.vm_supervisor.drivers.exit import LINE_MAX
from services.vm_supervisor.drivers.firecracker.requests import ApiRequest
from shared.errors import BangerError, Code
from shared.host.unix_socket import connect
from shared.plain_text import printable

_CHUNK = 65536
_BODY_MAX = 65536
"""Bytes of an answer. A guest may have taken its Firecracker over."""
_FAULT_MAX = 600
"""Characters of a fault. What is wrong with a saved machine is at the end of a long one."""


class ApiRefusal(BangerError):
    """Firecracker understood the request and did not do it."""


async def call(socket: Path, request: ApiRequest) -> Any:
    """Send one request; returns the decoded answer, None for an empty one.

    The answer may take ``request.seconds``.

    Raises:
        ApiRefusal: with the ``fault_message``.
        BangerError: ``timeout``; ``unavailable`` when Firecracker does not serve the socket.
    """
    try:
        async with asyncio.timeout(request.seconds):
            reader, writer = await connect(socket)
            try:
                status, body = await _exchange(reader, writer, request)
            finally:
                writer.close()
    except TimeoutError:
        raise BangerError(Code.TIMEOUT, f"Firecracker did not answer {request.path}") from None
    except (OSError, h11.RemoteProtocolError) as error:
        raise BangerError(Code.UNAVAILABLE, f"no Firecracker at {socket}: {error}") from error
    try:
        answer = json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        message = f"Firecracker sent an invalid answer to {request.path}"
        raise BangerError(Code.GUEST_FAILED, message) from error
    if status >= 400:
        raise _refused(request, status, answer)
    return answer


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: ApiRequest
) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT)
    writer.write(_encode(connection, request))
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_MAX:
                message = f"Firecracker answered {request.path} without an end"
                raise BangerError(Code.GUEST_FAILED, message)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return status, body


def _encode(connection: h11.Connection, request: ApiRequest) -> bytes:
    body = json.dumps(request.body).encode() if request.method != "GET" else b""
    headers = [("Host", "localhost"), ("Accept", "application/json")]
    if body:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    head = h11.Request(method=request.method, target=request.path, headers=headers)
    parts = [connection.send(head)]
    if body:
        parts.append(connection.send(h11.Data(data=body)))
    parts.append(connection.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)


def _refused(request: ApiRequest, status: int, answer: Any) -> ApiRefusal:
    said = answer.get("fault_message", "") if isinstance(answer, dict) else ""
    fault = printable(str(said), _FAULT_MAX)
    told = printable(fault, LINE_MAX) or f"status {status}"
    return ApiRefusal(
        Code.GUEST_FAILED,
        f"Firecracker refused {request.method} {request.path}: {told}",
        details={"fault_message": fault, "path": request.path},
    )
