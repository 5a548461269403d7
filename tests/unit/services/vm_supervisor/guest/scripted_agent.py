"""A guest's agent that answers as a test has it, on a real socket."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from tests.unit.services.vm_supervisor.serving import serving

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


def answering(commands: Answer, leftover: bytes = b"") -> Callable[..., Awaitable[None]]:
    """A guest agent: ``leftover`` is what a client before us was owed; None is silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(leftover)
        while line := await reader.readline():
            request = json.loads(line.lstrip(b"\xff"))
            if request["execute"] == "guest-sync-delimited":
                reply = json.dumps({"return": request["arguments"]["id"]}).encode()
                writer.write(b'{"error": {"desc": "stray"}}\n\xff' + reply + b"\n")
            elif (answer := commands(request)) is not None:
                writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    return serve


def with_agent(
    path: Path, serve: Callable[..., Awaitable[None]], use: Callable[[Agent], Awaitable[Any]]
) -> Any:
    async def scenario() -> Any:
        async with serving(path, serve):
            agent = await Agent.connect(AgentAddress(path), soon())
            try:
                return await use(agent)
            finally:
                agent.close()

    return asyncio.run(scenario())


def soon() -> float:
    return time.monotonic() + 10
