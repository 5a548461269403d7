"""A scripted server on a Unix socket whose every connection is closed when the test is over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(socket: Path, serve: Serve) -> AsyncIterator[None]:
    """Serve each connection with ``serve``, then close it; returns when all of them are closed."""
    done: set[asyncio.Task[None]] = set()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        done.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_unix_server(serve_and_close, socket)
    try:
        yield
    finally:
        server.close()
        async with asyncio.timeout(20):
            await asyncio.gather(*done, return_exceptions=True)
