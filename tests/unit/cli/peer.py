"""A scripted peer: one thread that is all services, and answers from a table.

The broker's decisions are the real ones, over a real socket, so a scripted service is heard by the
rules that a real one is heard by. It holds the launcher's lock: the CLI, run as a process of its
own, takes it for the services.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgpack

from services.broker.core import RoutingTable, Send
from shared.bus import envelope
from shared.bus.envelope import PROTOCOL, Envelope, Kind
from shared.bus.socket import Router
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.paths import Paths
from shared.version import __version__

Body = dict[str, Any]
Answer = Callable[[Body], Body]
SERVICES = ("launcher", "store", "images", "workspaces", "api", "nat", "dns")


class Held(Exception):
    """Raised by an answer: no final until the caller cancels."""


class Late(Exception):
    """Raised by an answer: ``result`` is there, and the caller is told only when it cancels."""

    def __init__(self, result: Body) -> None:
        super().__init__()
        self.result = result


class Peer:
    """A context manager; ``calls`` are (verb, body) in the order they came.

    ``requests`` counts them, and those that the broker answers itself. ``missing`` names a service
    that is not there.
    """

    def __init__(
        self,
        paths: Paths,
        script: dict[str, Answer],
        *,
        build: str = __version__,
        missing: str = "",
    ) -> None:
        self.calls: list[tuple[str, Body]] = []
        self.requests = 0
        self.cancelled = threading.Event()
        self._run, self._state = paths.run, paths.state
        self._script = script
        self._core = RoutingTable(build, os.getpid())
        for name in (each for each in SERVICES if each != missing):
            self._hears(name.encode(), Envelope(Kind.READY, bytes(16), name), _ready(build))
        self._partials: list[Body] = []
        self._finals: dict[bytes, bytes] = {}
        self._thread = threading.Thread(target=self._serve)
        self._stop_read, self._stop_write = os.pipe()
        self._ready = threading.Event()

    def progress(self, stage: str, message: str) -> None:
        """Called by an answer: send this partial before the final."""
        self._partials.append({"stage": stage, "message": message})

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.calls]

    def __enter__(self) -> "Peer":
        self._run.mkdir(mode=0o700, exist_ok=True)
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock.try_acquire(self._state / "launcher.lock")
        assert lock is not None
        self._lock = lock
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stop_write)
        self._thread.join(10)
        os.close(self._stop_read)
        self._lock.release()

    def _serve(self) -> None:
        with closing(Router(self._run / "broker.sock")) as router:
            router.watch(self._stop_read)
            self._ready.set()
            while self._stop_read not in router.poll(10):
                while (received := router.receive()) is not None:
                    self.requests += envelope.decode(received[1][0]).kind is Kind.REQUEST
                    self._route(router, received[0], received[1])

    def _route(self, router: Router, sender: bytes, frames: list[bytes]) -> None:
        for command in self._core.on_message(sender, frames, time.monotonic()):
            if not isinstance(command, Send):
                continue
            if command.peer.decode(errors="replace") in SERVICES:
                self._answer(router, envelope.decode(command.header), command.body)
            else:
                router.send(command.peer, command.header, command.body)

    def _hears(self, sender: bytes, header: Envelope, body: bytes) -> None:
        self._core.on_message(sender, [envelope.encode(header), body], time.monotonic())

    def _answer(self, router: Router, header: Envelope, packed: bytes) -> None:
        if header.kind is Kind.CANCEL:
            error = BangerError(Code.CANCELLED, f"{header.verb} was cancelled")
            given = self._finals.get(header.request_id, envelope.final_error(error))
            self._send(router, header, Kind.FINAL, given)
            self.cancelled.set()
            return
        body = envelope.decode_body(packed)
        self.calls.append((header.verb, body))
        final: bytes | None
        try:
            final = envelope.final_ok(self._script[header.verb](body))
        except BangerError as error:
            final = envelope.final_error(error)
        except Held:
            final = None
        except Late as late:
            self._finals[header.request_id] = envelope.final_ok(late.result)
            final = None
        for partial in self._partials:
            self._send(router, header, Kind.PARTIAL, msgpack.packb(partial))
        self._partials.clear()
        if final is not None:
            self._finals[header.request_id] = final
            self._send(router, header, Kind.FINAL, final)

    def _send(self, router: Router, header: Envelope, kind: Kind, body: bytes) -> None:
        reply = Envelope(kind, header.request_id, header.service, header.verb)
        self._route(router, header.service.encode(), [envelope.encode(reply), body])


def _ready(build: str) -> bytes:
    ready = {"instance": "scripted", "pid": os.getpid(), "build": build, "protocol": PROTOCOL}
    packed: bytes = msgpack.packb(ready)
    return packed


def hold(_body: Body) -> Body:
    raise Held


def refuse(code: Code, message: str, **more: Any) -> Answer:
    """An answer that is this error."""

    def answer(_body: Body) -> Body:
        raise BangerError(code, message, **more)

    return answer
