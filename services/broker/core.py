"""Routing decisions, pure: a message, the end of a process or a tick goes in, commands come out.

docs/protocol.md is the specification. Nothing here has to survive a restart: services register
again, and a lost connection tells callers that their requests are lost.
"""

from dataclasses import dataclass, field
from typing import Any

from services.broker.offenders import Offenders
from shared.bus import envelope
from shared.bus.envelope import FURTHEST_DEADLINE, PROTOCOL, Envelope, Kind
from shared.errors import BangerError, Code

DEADLINE_GRACE = 1.0
"""Seconds that a service gets to send its own ``timeout`` before the broker does."""
PID_MAX = 2**22
"""The kernel's limit (proc_sys_kernel(5), pid_max). Far larger numbers overflow pidfd_open."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to one peer. With ``request_id`` a failed send can be answered."""

    peer: bytes
    header: bytes
    body: bytes
    request_id: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class WatchService:
    """Report the end of this process with ``on_death(name, epoch)``."""

    name: str
    epoch: int
    pid: int


Command = Send | Publish | WatchService


@dataclass(frozen=True, slots=True)
class Registration:
    name: str
    peer: bytes
    epoch: int
    pid: int
    build: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that a service works on and whose caller waits for the final."""

    caller: bytes
    service: str
    verb: str
    epoch: int
    deadline: float


@dataclass
class RoutingTable:
    """Registered services and pending requests. Times are CLOCK_MONOTONIC seconds, passed in."""

    build: str
    pid: int
    services: dict[str, Registration] = field(default_factory=dict)
    pending: dict[bytes, Pending] = field(default_factory=dict)
    _offenders: Offenders = field(default_factory=Offenders)
    _epoch: int = 0

    # -- events -----------------------------------------------------------------------------

    def on_message(self, peer: bytes, frames: list[bytes], now: float) -> list[Command]:
        """What to do about one message from ``peer``."""
        if self._offenders.shut_out(peer, now):
            return []
        try:
            header = envelope.decode(frames[0] if frames else b"")
            if len(frames) != 2:
                raise BangerError(Code.BAD_MESSAGE, f"{len(frames)} frames instead of 2")
        except BangerError as error:
            return self._refuse(peer, frames, error, now)
        match header.kind:
            case Kind.REQUEST | Kind.PING:
                return self._route(peer, header, frames, now)
            case Kind.FINAL | Kind.PARTIAL:
                return self._return(header, frames, peer)
            case Kind.CANCEL:
                return self._cancel(peer, header, frames, now)
            case Kind.EVENT:
                return self._publish(peer, header, frames)
            case Kind.READY:
                return self._register(peer, header, frames[1])

    def on_death(self, name: str, epoch: int) -> list[Command]:
        """The process behind a registration has ended."""
        current = self.services.get(name)
        if current and current.epoch == epoch:
            del self.services[name]
        return self._fail_pending(name, epoch)

    def on_send_failed(self, request_id: bytes, peer: bytes, code: Code) -> list[Command]:
        """A ``Send`` could not be delivered: tell the caller if it was a request."""
        pending = self.pending.get(request_id)
        if pending is None or pending.caller == peer:
            return []
        del self.pending[request_id]
        why = "its queue is full" if code is Code.BUSY else "it is gone"
        error = BangerError(code, f"{pending.service} cannot be reached: {why}")
        return [_final(pending.caller, request_id, pending.service, pending.verb, error)]

    def on_tick(self, now: float) -> list[Command]:
        """Answer requests whose service did not answer in time."""
        late = [
            (rid, entry)
            for rid, entry in self.pending.items()
            if now > entry.deadline + DEADLINE_GRACE
        ]
        commands: list[Command] = []
        for request_id, entry in late:
            del self.pending[request_id]
            error = BangerError(Code.TIMEOUT, f"{entry.service} did not answer {entry.verb}")
            commands.append(_final(entry.caller, request_id, entry.service, entry.verb, error))
        self._offenders.forget_old(now)
        return commands

    # -- routing ----------------------------------------------------------------------------

    def _route(
        self, peer: bytes, header: Envelope, frames: list[bytes], now: float
    ) -> list[Command]:
        if header.service == "broker":
            return [self._answer_myself(peer, header)]
        error = self._refusal(header, now)
        target = self.services.get(header.service)
        if error or target is None:
            problem = error or BangerError(
                Code.UNAVAILABLE,
                f"{header.service} is not running",
                hint="check the services: banger daemon status",
            )
            return [_final(peer, header.request_id, header.service, header.verb, problem)]
        self.pending[header.request_id] = Pending(
            peer, header.service, header.verb, target.epoch, header.deadline
        )
        return [Send(target.peer, frames[0], frames[1], header.request_id)]

    def _refusal(self, header: Envelope, now: float) -> BangerError | None:
        if not 0 < header.deadline <= now + FURTHEST_DEADLINE:
            return BangerError(Code.BAD_MESSAGE, f"{header.verb} without a usable deadline")
        if header.deadline <= now:
            return BangerError(Code.TIMEOUT, f"the deadline of {header.verb} has passed")
        return None

    def _return(self, header: Envelope, frames: list[bytes], peer: bytes) -> list[Command]:
        pending = self.pending.get(header.request_id)
        if pending is None:
            return []  # expired, or from before a restart: the caller has its answer
        owner = self.services.get(pending.service)
        if owner is None or owner.peer != peer:
            return []  # only the service that has the request may answer
        if header.kind is Kind.FINAL:
            del self.pending[header.request_id]
        return [Send(pending.caller, frames[0], frames[1], header.request_id)]

    def _cancel(
        self, peer: bytes, header: Envelope, frames: list[bytes], now: float
    ) -> list[Command]:
        pending = self.pending.get(header.request_id)
        if pending is None:
            # It was answered, or it was sent through an earlier broker. The service knows, and the
            # caller waits for a final.
            return self._route(peer, header, frames, now)
        target = self.services.get(pending.service)
        if target is None or pending.caller != peer:
            return []
        return [Send(target.peer, frames[0], frames[1], b"")]

    def _publish(self, peer: bytes, header: Envelope, frames: list[bytes]) -> list[Command]:
        sender = self.services.get(header.service)
        if sender is None or sender.peer != peer:
            return []  # a service publishes under its own name only
        return [Publish(header.verb, frames[0], frames[1])]

    def _answer_myself(self, peer: bytes, header: Envelope) -> Send:
        if header.kind is Kind.PING:
            return _result(peer, header, self.status())
        if header.verb == "broker.services":
            listing = [
                {"name": entry.name, "pid": entry.pid, "build": entry.build, "epoch": entry.epoch}
                for entry in self.services.values()
            ]
            return _result(peer, header, {"services": listing})
        error = BangerError(Code.BAD_MESSAGE, f"broker has no verb {header.verb!r}")
        return _final(peer, header.request_id, "broker", header.verb, error)

    def status(self) -> dict[str, Any]:
        return {
            "build": self.build,
            "pid": self.pid,
            "services": len(self.services),
            "pending": len(self.pending),
            "bad_messages": self._offenders.messages,
        }

    # -- registration -----------------------------------------------------------------------

    def _register(self, peer: bytes, header: Envelope, body: bytes) -> list[Command]:
        try:
            self._check_name(peer, header.service)
            pid, build = _read_ready(envelope.decode_body(body))
        except BangerError as error:
            return [_final(peer, header.request_id, "broker", "ready", error)]
        name = header.service
        self._epoch += 1
        previous = self.services.get(name)
        self.services[name] = Registration(name, peer, self._epoch, pid, build)
        lost = self._fail_pending(name, previous.epoch) if previous else []
        return [
            *lost,
            WatchService(name, self._epoch, pid),
            _result(peer, header, {"epoch": self._epoch}),
        ]

    def _check_name(self, peer: bytes, name: str) -> None:
        """One peer registers one service, so connections limit the table."""
        if name in ("", "broker"):
            raise BangerError(Code.BAD_MESSAGE, f"no service may be called {name!r}")
        other = [entry.name for entry in self.services.values() if entry.peer == peer]
        if other and other != [name]:
            raise BangerError(Code.CONFLICT, f"{name} is already registered as {other[0]}")

    def _fail_pending(self, name: str, epoch: int) -> list[Command]:
        lost = [
            (request_id, entry)
            for request_id, entry in self.pending.items()
            if entry.service == name and entry.epoch == epoch
        ]
        commands: list[Command] = []
        for request_id, entry in lost:
            del self.pending[request_id]
            error = BangerError(Code.UNAVAILABLE, f"{name} ended while it served {entry.verb}")
            commands.append(_final(entry.caller, request_id, name, entry.verb, error))
        return commands

    def _refuse(
        self, peer: bytes, frames: list[bytes], error: BangerError, now: float
    ) -> list[Command]:
        self._offenders.add(peer, now)
        request_id = _readable_request_id(frames)
        if request_id is None:
            return []
        return [_final(peer, request_id, "broker", "", error)]


def _read_ready(ready: dict[str, Any]) -> tuple[int, str]:
    pid, build, protocol = ready.get("pid"), ready.get("build"), ready.get("protocol")
    if protocol != PROTOCOL:
        raise BangerError(Code.INCOMPATIBLE, f"this broker speaks protocol {PROTOCOL}")
    if type(pid) is not int or not 0 < pid <= PID_MAX or type(build) is not str:
        raise BangerError(Code.BAD_MESSAGE, "ready without pid or build")
    return pid, build


def _readable_request_id(frames: list[bytes]) -> bytes | None:
    """The request id of a message with another protocol version or with extra frames."""
    if not frames or frames[0][:4] != envelope.MAGIC[:4]:
        return None
    try:
        return envelope.decode(envelope.MAGIC + frames[0][5:]).request_id
    except BangerError:
        return None


def _final(peer: bytes, request_id: bytes, service: str, verb: str, error: BangerError) -> Send:
    header = envelope.encode(Envelope(Kind.FINAL, request_id, service, verb))
    return Send(peer, header, envelope.final_error(error), request_id)


def _result(peer: bytes, header: Envelope, result: dict[str, Any]) -> Send:
    final = envelope.encode(Envelope(Kind.FINAL, header.request_id, "broker", header.verb))
    return Send(peer, final, envelope.final_ok(result), header.request_id)
