"""The base of every service: verbs in, one final out, control never behind work.

A service subclasses ``Actor`` and marks its handlers, or lets ``serve`` take groups of them::

    class StoreService(Actor):
        @handles(store.VM_REMOVE)
        async def remove(self, request: VmId, call: Call) -> None: ...

``shared.bus.runner`` starts it. Handlers run as tasks; ping and cancel are answered on the loop.
What runs beside them is kept by ``background``.
"""

import asyncio
import os
import signal
import time
from typing import Any

import msgspec

from shared.bus import envelope
from shared.bus.background import Background
from shared.bus.envelope import PROTOCOL, Envelope, Kind, current_cause
from shared.bus.handlers import Call, Handler, collect_handlers, decode_request, encode_result
from shared.bus.link import Link, Progress
from shared.contract.verb import Request, Result
from shared.errors import STOPPED, BangerError, Code
from shared.host import parent_pipe
from shared.logs import Log, log_context
from shared.paths import Paths
from shared.version import __version__

KEPT_ANSWERS = 64
"""Finals kept for callers that ask again. Bodies are small; lists are the largest, some 50 KB."""

NOT_KEPT = (Code.UNAVAILABLE, Code.BUSY)
"""Failures that asking again may mend."""


class Actor:
    """One service. Subclasses add verbs, ``on_start``, ``on_stop`` and ``status``."""

    def __init__(self, name: str, paths: Paths, log: Log) -> None:
        self.name = name
        self.paths = paths
        self.log = log
        self.instance = os.urandom(4).hex()
        self.stopping = asyncio.Event()
        self.background = Background(log, self.stopping.set)
        self._handlers: dict[str, Handler] = collect_handlers(self)
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._answered: dict[bytes, bytes] = {}
        self.link = Link(paths.broker_socket, on_message=self._on_message, on_up=self._register)

    # -- for subclasses ---------------------------------------------------------------------

    async def on_start(self) -> None:
        """Before the service is announced: open what the verbs need."""

    async def on_registered(self) -> None:
        """After the service was first announced."""

    async def on_stop(self) -> None:
        """After the last verb ended."""

    def accepts_broker(self) -> bool:
        """Each time a broker appears, before the service is announced to it."""
        return True

    def status(self) -> dict[str, Any]:
        """Extra fields of the answer to a ping."""
        return {}

    def serve(self, *groups: object) -> None:
        """Answer the verbs that these objects handle, besides this object's own."""
        for group in groups:
            self._handlers |= collect_handlers(group)

    async def ask(
        self,
        request: Request[Result],
        *,
        deadline: float | None = None,
        on_partial: Progress | None = None,
        settle: bool = False,
    ) -> Result:
        """Ask another service; the result is validated against the catalogue.

        ``deadline`` is CLOCK_MONOTONIC seconds; without one, the verb's time limit holds.
        ``settle``: a caller that is cancelled waits for the answer, and gets the result when the
        cancel came too late.

        Raises:
            BangerError: what the service answered, or ``unavailable``, ``timeout``, ``too_large``.
        """
        verb = request.verb
        raw = await self.link.call(
            request.service,
            verb.name,
            request.body,
            deadline=time.monotonic() + request.seconds if deadline is None else deadline,
            on_partial=on_partial,
            settle=settle,
        )
        answer = envelope.read_final(raw)
        if verb.result is type(None):
            return None
        return msgspec.convert(answer, verb.result)

    def publish(self, topic: str, body: Any) -> None:
        """Send an event. Events may be lost: nothing that must happen is only an event."""
        header = Envelope(Kind.EVENT, envelope.new_request_id(), self.name, topic)
        try:
            self.link.send(header, msgspec.msgpack.encode(body))
        except BangerError:
            self.log.debug("event not sent: no broker", topic=topic)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then let running verbs be cancelled and stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        parent = parent_pipe.inherited()
        if parent is not None:
            loop.add_reader(parent, self._on_parent_gone, parent)
        await self.on_start()
        self._started = True
        self._register()
        await self.on_registered()
        self.log.info("started", instance=self.instance)
        await self.stopping.wait()
        await self._finish()

    def _on_parent_gone(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        self.log.info("the launcher is gone")
        self.stopping.set()

    # -- messages ---------------------------------------------------------------------------

    _started = False

    def _register(self) -> None:
        if not self._started or not self.accepts_broker():
            return
        body = {
            "service": self.name,
            "instance": self.instance,
            "pid": os.getpid(),
            "build": __version__,
            "protocol": PROTOCOL,
        }
        header = Envelope(Kind.READY, envelope.new_request_id(), self.name)
        try:
            self.link.send(header, msgspec.msgpack.encode(body))
        except BangerError:
            return  # the link calls again when it is up

    def _on_message(self, header: Envelope, body: bytes) -> None:
        match header.kind:
            case Kind.PING:
                self._answer_ping(header)
            case Kind.CANCEL:
                self._cancel(header)
            case Kind.REQUEST:
                self._start(header, body)
            case _:
                self.log.debug("message of no use here", kind=header.kind.name)

    def _answer_ping(self, header: Envelope) -> None:
        answer = {"build": __version__, "pid": os.getpid(), "tasks": len(self._tasks)}
        self._send_final(header, envelope.final_ok(answer | self.status()))

    def _cancel(self, header: Envelope) -> None:
        if (answered := self._answered.get(header.request_id)) is not None:
            self._send_final(header, answered)  # it was done before the cancel came
        elif (task := self._tasks.get(header.request_id)) is not None:
            if not task.cancelling():  # a second cancel would cut short how the first is taken
                task.cancel()  # which answers
        else:
            error = BangerError(Code.CANCELLED, f"{header.verb} was not running any more")
            self._send_final(header, envelope.final_error(error))

    def _start(self, header: Envelope, body: bytes) -> None:
        # The answer first: a task that has just answered is still among the running ones.
        if (answered := self._answered.get(header.request_id)) is not None:
            self._send_final(header, answered)
            return
        if header.request_id in self._tasks:
            return  # sent again after a lost link: the one final will reach the caller
        task = asyncio.create_task(self._serve(header, body))
        self._tasks[header.request_id] = task
        task.add_done_callback(lambda ended: self._forget_task(header, ended))

    def _forget_task(self, header: Envelope, task: asyncio.Task[None]) -> None:
        self._tasks.pop(header.request_id, None)
        if task.cancelled():  # before its first step: nothing in it could answer
            self._final(header, envelope.final_error(self._interrupted(header.verb)))

    def _interrupted(self, name: str) -> BangerError:
        """Why a verb did not come to its end. The next process of this service can be asked again,
        so a stop is no cancel, which nobody repeats."""
        if self.stopping.is_set():
            return BangerError(
                Code.UNAVAILABLE,
                f"{self.name} was stopped while it served {name}",
                hint="the request may have been carried out; look with: banger vm list",
                details={STOPPED: self.name},
            )
        return BangerError(Code.CANCELLED, f"{name} was cancelled")

    async def _serve(self, header: Envelope, body: bytes) -> None:
        started = time.monotonic()
        current_cause.set(header.origin)  # a task has a context of its own
        with log_context(request=header.origin.hex(), verb=header.verb):
            outcome, passing = "ok", False
            try:
                answer = await self._handle(header, body)
            except BangerError as error:
                outcome, passing = error.code.value, error.code in NOT_KEPT
                answer = envelope.final_error(error)
            took = round((time.monotonic() - started) * 1000, 1)
            self.log.info("served", outcome=outcome, milliseconds=took)
            self._final(header, answer, keep=not passing)

    async def _handle(self, header: Envelope, body: bytes) -> bytes:
        known = self._handlers.get(header.verb)
        if known is None:
            raise BangerError(Code.BAD_MESSAGE, f"{self.name} has no verb {header.verb!r}")
        request = decode_request(body, known.verb.request)
        if header.deadline <= time.monotonic():
            raise BangerError(Code.TIMEOUT, f"the deadline of {header.verb} has passed")
        try:
            async with asyncio.timeout(header.deadline - time.monotonic()):
                result = await known.answer(request, Call(self.link, header))
            return encode_result(result)
        except TimeoutError:
            raise BangerError(Code.TIMEOUT, f"{header.verb} timed out") from None
        except asyncio.CancelledError:
            raise self._interrupted(header.verb) from None
        except BangerError:
            raise
        except Exception as error:
            self.log.exception("a bug in a verb's handler")
            raise BangerError(
                Code.INTERNAL,
                f"{self.name} failed at {header.verb}: {type(error).__name__}: {error}",
                hint=f"the traceback is in {self.log.path}",
            ) from error

    def _final(self, header: Envelope, body: bytes, *, keep: bool = True) -> None:
        """Answer, and keep the answer: a caller that lost its link asks again by the same id."""
        if keep:
            self._answered[header.request_id] = body
        if len(self._answered) > KEPT_ANSWERS:
            del self._answered[next(iter(self._answered))]
        self._send_final(header, body)

    def _send_final(self, header: Envelope, body: bytes) -> None:
        final = Envelope(Kind.FINAL, header.request_id, self.name, header.verb)
        try:
            self.link.send(final, body)
        except BangerError as error:
            if error.code is Code.TOO_LARGE:
                self.link.send(final, envelope.final_error(error))
            # otherwise the broker is gone and the caller knows it from its own link

    async def idle(self) -> None:
        """Wait until no verb is running. Not to be called from a verb."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _finish(self) -> None:
        self.link.forwards_cancels = False
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=5)
        self.background.cancel()
        await self.on_stop()
        self.log.info("stopped")
        self.link.close()
