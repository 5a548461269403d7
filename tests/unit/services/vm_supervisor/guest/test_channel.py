"""The handshake of vsock, and patience with a guest that does not listen yet."""

import asyncio
from pathlib import Path

import pytest

from services.vm_supervisor.guest import channel
from services.vm_supervisor.guest.channel import AgentAddress, await_reset, open_channel
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.serving import serving


def answers(
    socket: Path, replies: list[bytes | None], port: int | None
) -> tuple[bytes, list[bytes]]:
    """Serve one reply per connection (None: hang up) and read a line over what was opened."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if port is not None:
            heard.append(await reader.readline())
        reply = replies.pop(0)
        if reply is not None:
            writer.write(reply)

    async def scenario() -> bytes:
        async with asyncio.timeout(20):
            async with serving(socket, serve):
                reader, writer = await open_channel(AgentAddress(socket, port), 1024)
                line = await reader.readline()
                writer.close()
                return line

    return asyncio.run(scenario()), heard


def test_a_port_is_asked_for_and_what_follows_the_answer_is_the_agents(tmp_path: Path) -> None:
    line, heard = answers(tmp_path / "s", [b"OK 1073741824\nhello\n"], 1024)
    assert (line, heard) == (b"hello\n", [b"CONNECT 1024\n"])


def test_a_guest_that_does_not_listen_yet_is_asked_again(tmp_path: Path) -> None:
    line, heard = answers(tmp_path / "s", [None, None, b"OK 1\nhello\n"], 1024)
    assert line == b"hello\n"
    assert len(heard) == 3


def test_a_virtio_serial_port_has_no_handshake(tmp_path: Path) -> None:
    assert answers(tmp_path / "s", [b"hello\n"], None) == (b"hello\n", [])


def test_a_socket_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"late\n")

        async with asyncio.timeout(20):
            opening = asyncio.create_task(open_channel(AgentAddress(tmp_path / "s"), 1024))
            await asyncio.sleep(0)
            async with serving(tmp_path / "s", serve):
                reader, writer = await opening
                line = await reader.readline()
                writer.close()
                return line

    assert asyncio.run(scenario()) == b"late\n"


def test_an_answer_without_an_end_is_no_answer(tmp_path: Path) -> None:
    """A guest that has taken its VMM over may say anything here."""
    line, heard = answers(tmp_path / "s", [b"O" * 100_000, b"OK 1\nhello\n"], 1024)
    assert line == b"hello\n"
    assert len(heard) == 2


def test_a_socket_that_cannot_be_used_is_a_failed_guest(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BangerError, match="Not a directory") as caught:
        asyncio.run(open_channel(AgentAddress(tmp_path / "file" / "s"), 1024))
    assert caught.value.code is Code.GUEST_FAILED


def test_a_guest_that_was_saved_is_ready_when_it_has_refused_a_connection(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())

    async def scenario() -> bool:
        async with serving(tmp_path / "s", serve):
            return await await_reset(tmp_path / "s")

    assert asyncio.run(scenario())
    assert heard == [b"CONNECT 4294967280\n"]


def test_a_guest_that_hangs_after_a_save_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "RESET_SECONDS", 0.02)

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario() -> tuple[bool, bool]:
        async with serving(tmp_path / "s", serve):
            hung = await await_reset(tmp_path / "s")
        return hung, await await_reset(tmp_path / "nothing")

    assert asyncio.run(scenario()) == (False, False)
