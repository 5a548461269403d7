"""Bodies of the verbs about the services themselves."""

from typing import Literal

import msgspec

from shared.contract.messages.page import Paged

ServiceState = Literal["starting", "running", "backoff", "failed", "stopped"]


class ServiceStatus(msgspec.Struct, kw_only=True):
    """One core service as its launcher sees it; ``restarts`` since the launcher started."""

    name: str
    state: ServiceState
    pid: int | None
    restarts: int
    reason: str
    log: str


class DaemonStatus(msgspec.Struct, kw_only=True):
    build: str
    pid: int
    services: list[ServiceStatus]


OperationState = Literal["running", "done", "failed", "cancelled"]


class Operation(msgspec.Struct, kw_only=True):
    """A long verb. ``id`` is its request's, hexadecimal; times are RFC 3339, ended "" while it
    runs; ``stage`` and ``message`` are its last progress, or its error."""

    id: str
    verb: str
    subject: str
    state: OperationState
    stage: str = ""
    message: str = ""
    code: str = ""
    started_at: str
    ended_at: str = ""


class OperationList(Paged, kw_only=True):
    operations: list[Operation]


class OperationRef(msgspec.Struct, kw_only=True):
    """An operation's id, or a unique prefix of it."""

    ref: str


class Registered(msgspec.Struct, kw_only=True):
    """A service known to the broker."""

    name: str
    pid: int
    build: str
    epoch: int


class RegisteredList(msgspec.Struct, kw_only=True):
    services: list[Registered]
