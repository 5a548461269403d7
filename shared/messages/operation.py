"""Bodies of the verbs about the services themselves."""

from typing import Literal

import msgspec

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


class Registered(msgspec.Struct, kw_only=True):
    """A service known to the broker."""

    name: str
    pid: int
    build: str
    epoch: int


class RegisteredList(msgspec.Struct, kw_only=True):
    services: list[Registered]
