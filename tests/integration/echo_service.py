"""``python -m tests.integration.echo_service``: a service whose verbs do what tests need."""

import asyncio
import os
import sys
from typing import Any

import msgspec

from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import start_service
from shared.contract.messages.vm import Empty
from shared.contract.verb import Verb
from shared.logs import Log
from shared.paths import Paths


class Say(msgspec.Struct, kw_only=True):
    text: str


class Big(msgspec.Struct, kw_only=True):
    size: int


class Relay(msgspec.Struct, kw_only=True):
    service: str
    verb: str
    seconds: float = 5.0


SAY = Verb("echo", "echo.say", Say, dict[str, str])
COUNT = Verb("echo", "echo.count", Empty, dict[str, int])
WAIT = Verb("echo", "echo.wait", Empty, dict[str, int])
RELEASE = Verb("echo", "echo.release", Empty, type(None))
RESET = Verb("echo", "echo.reset", Empty, type(None))
BIG = Verb("echo", "echo.big", Big, dict[str, bytes])
BUG = Verb("echo", "echo.bug", Empty, type(None))
UNENCODABLE = Verb("echo", "echo.unencodable", Empty, object)
TELL = Verb("echo", "echo.tell", Say, type(None))
RELAY = Verb("echo", "echo.relay", Relay, dict[str, Any])
EXIT = Verb("echo", "echo.exit", Empty, type(None))


class Echo(Actor):
    """Service ``echo``."""

    def __init__(self, paths: Paths, log: Log) -> None:
        super().__init__("echo", paths, log)
        self._count = 0
        self._released = asyncio.Event()

    def status(self) -> dict[str, Any]:
        return {"count": self._count}

    @handles(SAY)
    async def say(self, request: Say, call: Call) -> dict[str, str]:
        return {"text": request.text, "request": call.request_id}

    @handles(COUNT)
    async def count(self, _request: Empty, _call: Call) -> dict[str, int]:
        """Not idempotent on purpose: shows whether a request was done twice."""
        self._count += 1
        return {"count": self._count}

    @handles(WAIT)
    async def wait(self, _request: Empty, call: Call) -> dict[str, int]:
        """Two partials, then the final once ``echo.release`` has been asked for."""
        self._count += 1
        call.progress("waiting", "one", 0.25)
        call.progress("waiting", "two")
        await self._released.wait()
        return {"count": self._count}

    @handles(RELEASE)
    async def release(self, _request: Empty, _call: Call) -> None:
        self._released.set()

    @handles(RESET)
    async def reset(self, _request: Empty, _call: Call) -> None:
        """As new, for the next test."""
        self._released.set()
        self._count = 0
        self._released = asyncio.Event()

    @handles(BIG)
    async def big(self, request: Big, _call: Call) -> dict[str, bytes]:
        return {"data": bytes(request.size)}

    @handles(BUG)
    async def bug(self, _request: Empty, _call: Call) -> None:
        raise LookupError("a bug in a handler")

    @handles(UNENCODABLE)
    async def unencodable(self, _request: Empty, _call: Call) -> object:
        return {"result": object()}

    @handles(TELL)
    async def tell(self, request: Say, _call: Call) -> None:
        self.publish("echo.told", {"text": request.text})

    @handles(RELAY)
    async def relay(self, request: Relay, call: Call) -> dict[str, Any]:
        """Ask another service, as the api does."""
        verb = Verb(request.service, request.verb, Empty, dict[str, Any])
        return await self.ask(
            verb(),
            deadline=min(call.deadline, asyncio.get_running_loop().time() + request.seconds),
            on_partial=call.progress,
        )

    @handles(EXIT)
    async def exit(self, _request: Empty, _call: Call) -> None:
        os._exit(3)


if __name__ == "__main__":
    own_paths = Paths.from_environment()
    sys.exit(start_service("echo", own_paths, lambda log, _: Echo(own_paths, log)))
