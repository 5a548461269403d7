"""Find the services, start them when they are not running, and connect.

The launcher holds ``launcher.lock`` while it runs, so a lock says whether there are services, where
a file could be stale. ``start.lock`` keeps two commands from starting the services at once.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from shared.bus.client import Client
from shared.contract.verbs import daemon
from shared.errors import BangerError, Code
from shared.host.locks import Lock, holder
from shared.paths import BROKER_SOCKET, Paths, check_private, check_socket_length, run_directory
from shared.version import __version__

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from shared.contract.verb import Request

Result = TypeVar("Result")

START_SECONDS = 60.0
"""How long services may take to start, unless BANGER_START_SECONDS is set. An emulated machine
takes 10 s to import an SQL library."""

ERROR_BYTES = 16384
"""Of the end of what a service wrote to stderr."""
REQUIRED = ("store", "images", "api")
"""No command works without these. nat and dns may be restarting."""
ALL = ("launcher", *REQUIRED, "nat", "dns")


def expected_services(paths: Paths) -> tuple[str, ...]:
    """``ALL``, except for a nat that root runs, which may start later. The launcher reports a
    configuration that cannot be read."""
    from shared.config import load_config

    try:
        external = load_config(paths.config_file).nat.external
    except BangerError:
        external = False
    return tuple(name for name in ALL if not (external and name == "nat"))


@contextmanager
def connect() -> Iterator[Client]:
    """A connection to services of this version, which are started if they are not running.

    Raises:
        BangerError: ``unavailable`` names the service that did not start; ``incompatible``: they
            have another version; ``denied``: others can access the run directory.
    """
    run = run_directory()
    wanted: tuple[str, ...] = REQUIRED
    if not running(run):
        paths = Paths.from_environment()
        wanted = expected_services(paths)
        start(paths)
    with _client(run) as client:
        wait_for(client, wanted, time.monotonic() + start_seconds())
        yield client


def start_seconds() -> float:
    """How long services may take to start. Raises ``invalid`` unless it is a positive number."""
    given = os.environ.get("BANGER_START_SECONDS") or str(START_SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BangerError(
            Code.INVALID, f"BANGER_START_SECONDS={given} is not a positive number of seconds"
        )
    return seconds


def running(run: "str | Path") -> bool:
    """Whether a launcher (or, in development, a broker without one) serves this run directory."""
    try:
        check_private(run)
    except FileNotFoundError:
        return False
    return any(holder(f"{run}/{lock}") for lock in ("launcher.lock", "broker.lock"))


@contextmanager
def connect_if_running(run: "str | Path | None" = None) -> Iterator[Client]:
    """A connection to the services, which are neither started nor waited for.

    Raises:
        BangerError: ``unavailable`` when they are not running.
    """
    run = run or run_directory()
    if not running(run):
        raise BangerError(
            Code.UNAVAILABLE, "the services are not running", hint="start them: banger daemon start"
        )
    with _client(run) as client:
        yield client


def _client(run: "str | Path") -> Client:
    return Client(f"{run}/{BROKER_SOCKET}")


def start(paths: Paths) -> None:
    """Start the launcher, detached, unless another command does so at the moment."""
    from shared.host.retry import poll
    from shared.paths import make_private

    make_private(paths.run)
    check_socket_length(paths.run)
    deadline = time.monotonic() + start_seconds()
    lock = _acquire(paths.run / "start.lock", deadline)
    try:
        if running(paths.run):
            return
        launcher = _spawn_launcher(paths)
        poll(lambda: running(paths.run) or launcher.poll() is not None, deadline)
        if not running(paths.run):
            _fail("launcher")
    finally:
        lock.release()


def _acquire(path: "Path", deadline: float) -> Lock:
    from shared.host.retry import poll

    lock = poll(lambda: Lock.try_acquire(path), deadline)
    if lock is None:
        raise BangerError(Code.BUSY, f"process {holder(path)} is still starting the services")
    return lock


def _spawn_launcher(paths: Paths) -> "subprocess.Popen[bytes]":
    import subprocess
    from pathlib import Path

    paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    checkout = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH", "")]))
    with (paths.logs / "launcher.err").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "services.launcher"],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )


def wait_for(client: Client, wanted: tuple[str, ...], deadline: float) -> None:
    """Return when all of ``wanted`` have registered with the broker, and have this version.

    The broker answers this itself in a fraction of a millisecond, so every command asks it.
    """
    known: dict[str, str] = {}

    def is_complete() -> bool:
        nonlocal known
        known = _registered(client, deadline)
        return known.keys() >= set(wanted)

    if not is_complete():
        from shared.host.retry import poll

        poll(is_complete, deadline)
    for name in wanted:
        if name not in known:
            _fail(name)
    _check_builds({name: known[name] for name in wanted})


def _registered(client: Client, deadline: float) -> dict[str, str]:
    """Name → build of the services known to the broker."""
    patience = max(0.1, deadline - time.monotonic())
    try:
        answer = client.ask(daemon.SERVICES(), timeout=patience)
    except BangerError as error:
        if error.code is not Code.UNAVAILABLE or time.monotonic() > deadline:
            raise
        return {}
    return {service.name: service.build for service in answer.services}


def _check_builds(builds: dict[str, str]) -> None:
    for name, build in builds.items():
        if build != __version__:
            raise BangerError(
                Code.INCOMPATIBLE,
                f"the running service {name} has version {build}, this command {__version__}",
                hint="restart the services, VMs keep running: banger daemon restart",
            )


def _fail(service: str) -> NoReturn:
    paths = Paths.from_environment()
    errors = paths.logs / f"{service}.err"
    said = last_error_line(errors)
    raise BangerError(
        Code.UNAVAILABLE,
        f"the service {service} did not start" + (f": {said}" if said else ""),
        hint=f"see {errors if said else paths.log_file(service)}, or run: banger daemon status",
    )


def last_error_line(path: "Path") -> str:
    """The last line that is neither empty nor a hint, or "" when there is none or no file."""
    from shared.host.files import read_tail

    try:
        lines = read_tail(path, ERROR_BYTES).split("\n")[-20:]
    except OSError:
        return ""
    said = (line.strip().removeprefix("error: ") for line in reversed(lines))
    return next((line for line in said if line and not line.startswith("hint: ")), "")


def ask(request: "Request[Result]") -> Result:
    """Connect, ask, close."""
    with connect() as client:
        return client.ask(request)


def ask_again(request: "Request[Result]") -> Result:
    """As ``ask``, without the check of versions: for a command that has connected before. Services
    that were stopped in the meantime are started."""
    run = run_directory()
    if not running(run):
        return ask(request)
    with _client(run) as client:
        return client.ask(request)
