"""``python -m tests.integration.echo_service``: a service whose verbs do what tests need."""

import asyncio
import os
import sys
from typing import Any

import msgspec

from shared.bus.actor import Actor
from shared.bus.runner import start_service
from shared.bus.verbs import Call, verb
from shared.contract.messages.vm import Nothing
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


class Echo(Actor):
    """Service ``echo``."""

    def __init__(self, paths: Paths, log: Log) -> None:
        super().__init__("echo", paths, log)
        self._count = 0
        self._released = asyncio.Event()

    def status(self) -> dict[str, Any]:
        return {"count": self._count}

    @verb("echo.say", Say)
    async def say(self, request: Say, call: Call) -> dict[str, str]:
        return {"text": request.text, "request": call.request_id}

    @verb("echo.count", Nothing)
    async def count(self, _request: Nothing, _call: Call) -> dict[str, int]:
        """Not idempotent on purpose: shows whether a request was done twice."""
        self._count += 1
        return {"count": self._count}

    @verb("echo.wait", Nothing)
    async def wait(self, _request: Nothing, call: Call) -> dict[str, int]:
        """Two partials, then the final once ``echo.release`` has been asked for."""
        self._count += 1
        call.progress("waiting", "one", 0.25)
        call.progress("waiting", "two")
        await self._released.wait()
        return {"count": self._count}

    @verb("echo.release", Nothing)
    async def release(self, _request: Nothing, _call: Call) -> None:
        self._released.set()

    @verb("echo.reset", Nothing)
    async def reset(self, _request: Nothing, _call: Call) -> None:
        """As new, for the next test."""
        self._released.set()
        self._count = 0
        self._released = asyncio.Event()

    @verb("echo.big", Big)
    async def big(self, request: Big, _call: Call) -> dict[str, bytes]:
        return {"data": bytes(request.size)}

    @verb("echo.bug", Nothing)
    async def bug(self, _request: Nothing, _call: Call) -> None:
        raise LookupError("a bug in a handler")

    @verb("echo.unencodable", Nothing)
    async def unencodable(self, _request: Nothing, _call: Call) -> object:
        return {"result": object()}

    @verb("echo.tell", Say)
    async def tell(self, request: Say, _call: Call) -> None:
        self.publish("echo.told", {"text": request.text})

    @verb("echo.relay", Relay)
    async def relay(self, request: Relay, call: Call) -> dict[str, Any]:
        """Ask another service, as the api does."""
        return await self.call(
            request.service,
            request.verb,
            {},
            dict[str, Any],
            deadline=min(call.deadline, asyncio.get_running_loop().time() + request.seconds),
            on_partial=call.progress,
        )

    @verb("echo.exit", Nothing)
    async def exit(self, _request: Nothing, _call: Call) -> None:
        os._exit(3)


if __name__ == "__main__":
    own_paths = Paths.from_environment()
    sys.exit(start_service("echo", own_paths, lambda log, _: Echo(own_paths, log)))
