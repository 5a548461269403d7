"""What the launcher decides, pure: processes end, time passes, and services are due to start."""

import sys
from dataclasses import dataclass, field

from shared.contract.messages.operation import ServiceState, ServiceStatus
from shared.errors import BangerError, Code
from shared.host.programs import isolation
from shared.host.restart import RestartPolicy


def parse_procfile(text: str) -> dict[str, list[str]]:
    """Name → argv of each line ``name: command``; order is kept. Raises ``invalid``."""
    services: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, command = (part.strip() for part in line.partition(":"))
        if not name or not command or name in services:
            raise BangerError(
                Code.INVALID, f"procfile, line {number}: {line!r} is not NAME: COMMAND"
            )
        services[name] = command.split()
    return services


def own_interpreter(argv: list[str]) -> list[str]:
    """``argv`` with this process's interpreter in place of ``python``, as isolated as ``python -I``
    if it is to be."""
    if argv[:2] == ["python", "-I"]:
        return [sys.executable, *isolation(), *argv[2:]]
    return [sys.executable if word == "python" else word for word in argv]


@dataclass
class ManagedService:
    """One line of the procfile and the state of its process."""

    name: str
    argv: list[str]
    state: ServiceState = "stopped"
    pid: int | None = None
    restarts: int = 0
    reason: str = ""
    start_at: float | None = None
    policy: RestartPolicy = field(default_factory=RestartPolicy)

    def status(self, log: str) -> ServiceStatus:
        return ServiceStatus(
            name=self.name,
            state=self.state,
            pid=self.pid,
            restarts=self.restarts,
            reason=self.reason,
            log=log,
        )


class ServiceTable:
    """All services of the procfile. Times are CLOCK_MONOTONIC seconds."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self.services = {name: ManagedService(name, argv) for name, argv in commands.items()}
        self.stopping = False

    def start_all(self, now: float) -> None:
        """Schedule every service that does not run, those that were given up too."""
        for service in self.services.values():
            if service.state in ("stopped", "failed"):
                service.policy.forget()
                service.start_at = now

    def due(self, now: float) -> list[ManagedService]:
        """Services to start now, in procfile order."""
        if self.stopping:
            return []
        return [
            service
            for service in self.services.values()
            if service.start_at is not None and service.start_at <= now
        ]

    def next_start(self) -> float | None:
        """The earliest scheduled start, or None."""
        times = [s.start_at for s in self.services.values() if s.start_at is not None]
        return min(times, default=None)

    def on_started(self, name: str, pid: int) -> None:
        service = self.services[name]
        service.state, service.pid, service.start_at, service.reason = "running", pid, None, ""

    def on_exit(self, name: str, status: int, now: float, jitter: float) -> None:
        """A process has ended. ``status`` is negative for a signal, as subprocess has it."""
        service = self.services[name]
        service.pid = service.start_at = None
        if self.stopping:
            service.state = "stopped"
            return
        why = f"killed by signal {-status}" if status < 0 else f"exited with {status}"
        delay = service.policy.after_exit(now, jitter)
        if delay is None:
            service.state = "failed"
            service.reason = f"{why}; restarted too often, giving up"
            return
        service.state, service.reason = "backoff", why
        service.restarts += 1
        service.start_at = now + delay

    def stop(self) -> list[list[ManagedService]]:
        """Start nothing more. Returns the running services in groups that end one after another:
        first the api, whose verbs need the others, and last the broker, through which all of them
        answer."""
        self.stopping = True
        order = {"api": 0, "broker": 2}
        groups: list[list[ManagedService]] = [[], [], []]
        for service in self.services.values():
            if service.pid is not None:
                groups[order.get(service.name, 1)].append(service)
        return groups
