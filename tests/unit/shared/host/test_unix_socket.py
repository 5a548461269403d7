"""Sockets in a directory that somebody else may write to."""

import asyncio
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shared.host.unix_socket import connect


def test_socket_itself_is_connected_to_and_a_link_to_one_is_not() -> None:
    async def scenario(here: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(here / "real"))
            server.listen()
            (here / "link").symlink_to("real")
            _, writer = await connect(here / "real")
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await connect(here / "link")

    with TemporaryDirectory(dir="/tmp") as here:
        asyncio.run(scenario(Path(here)))


def test_what_is_no_socket_is_refused_and_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(connect(tmp_path / "directory"))
    with pytest.raises(FileNotFoundError):
        asyncio.run(connect(tmp_path / "nothing"))
