"""HTTP over a Unix socket: answers taken, refusals told, silence and death named."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.drivers.firecracker.api import ApiRefusal, call
from services.vm_supervisor.drivers.firecracker.requests import ApiRequest
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.serving import Serve, serving

GET = ApiRequest("GET", "/", {})
PUT = ApiRequest("PUT", "/vsock", {"guest_cid": 3})


def ask(socket: Path, request: ApiRequest, serve: Serve) -> Any:
    async def scenario() -> Any:
        async with serving(socket, serve):
            return await call(socket, request)

    return asyncio.run(scenario())


def answering(head: str, body: bytes = b"", heard: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"ontent-" in request:
            request += await reader.readuntil(b"}")
        if heard is not None:
            heard.append(request)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"HTTP/1.1 {head}\r\n{length}\r\n".encode() + body)

    return serve


def test_an_answer_with_a_body_is_decoded(tmp_path: Path) -> None:
    serve = answering("200 OK", b'{"state": "Running"}')
    assert ask(tmp_path / "s", GET, serve) == {"state": "Running"}


def test_an_empty_answer_is_none_and_the_request_is_whole(tmp_path: Path) -> None:
    heard: list[bytes] = []
    assert ask(tmp_path / "s", PUT, answering("204 No Content", heard=heard)) is None
    assert heard[0].startswith(b"PUT /vsock HTTP/1.1\r\n")
    assert heard[0].endswith(b'\r\n\r\n{"guest_cid": 3}')


def test_a_fault_message_becomes_our_error(tmp_path: Path) -> None:
    serve = answering("400 Bad ApiRequest", b'{"fault_message": "no such file"}')
    with pytest.raises(ApiRefusal) as caught:
        ask(tmp_path / "s", PUT, serve)
    assert caught.value.message == "Firecracker refused PUT /vsock: no such file"
    assert caught.value.details["fault_message"] == "no such file"


def test_a_server_that_hangs_up_is_unavailable(tmp_path: Path) -> None:
    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    with pytest.raises(BangerError) as caught:
        ask(tmp_path / "s", GET, hang_up)
    assert caught.value.code is Code.UNAVAILABLE


def test_a_socket_that_nobody_serves_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        asyncio.run(call(tmp_path / "s", GET))
    assert caught.value.code is Code.UNAVAILABLE


def test_silence_is_a_timeout(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(BangerError) as caught:
        ask(tmp_path / "s", GET._replace(seconds=0.05), silent)
    assert caught.value.code is Code.TIMEOUT


@pytest.mark.parametrize(
    "body",
    [b"A" * 200_000, b"[" * 60_000, b'{"state": ', b"\xff"],
    ids=["long", "deep", "torn", "not UTF-8"],
)
def test_an_answer_of_a_vmm_in_hostile_hands_is_a_failed_guest(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        ask(tmp_path / "s", GET, answering("200 OK", body))
    assert caught.value.code is Code.GUEST_FAILED


def test_a_fault_message_is_cut_and_printable(tmp_path: Path) -> None:
    said = b'{"fault_message": "\\u001b[2J' + b"A" * 10_000 + b'"}'
    with pytest.raises(ApiRefusal) as caught:
        ask(tmp_path / "s", PUT, answering("400 Bad Request", said))
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()
