"""Find the services, start them when they are not running, and connect.

The launcher holds ``launcher.lock`` while it runs, so a lock says whether there are services, where
a file could be stale. ``start.lock`` keeps two commands from starting the services at once. Both
are in the state directory, as what the services own is; ``stack.lock`` there names the run
directory.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from shared.bus.client import Client, Partial
from shared.contract.verbs import daemon
from shared.errors import BangerError, Code
from shared.host.locks import Lock, holder
from shared.paths import (
    BROKER_SOCKET,
    Paths,
    check_private,
    check_served_from,
    check_socket_length,
    close_to_others,
    run_directory,
    state_directory,
)
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
"""No command works without these. The others may be restarting."""
ALL = ("launcher", *REQUIRED, "workspaces", "nat", "dns")


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
            have another version; ``denied``: others can access the run directory; ``conflict``:
            they serve from another run directory than BANGER_RUN_DIR.
    """
    with _reach(time.monotonic() + start_seconds()) as client:
        yield client


def _reach(deadline: float) -> Client:
    """Connect to services that are up. They may be stopped just now by another command: then they
    are started again, as by a command that comes a moment later."""
    while True:
        run = run_directory()
        wanted: tuple[str, ...] = REQUIRED
        if not running(run):
            paths = start()
            run, wanted = str(paths.run), expected_services(paths)
        client = _client(run)
        try:
            if wait_for(client, wanted, run, deadline):
                return client
        except BaseException:
            client.close()
            raise
        client.close()


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


def running(run: "str | Path", state: "str | Path | None" = None) -> bool:
    """Whether a launcher (or, in development, a broker without one) serves the state directory by
    way of this run directory.

    Raises:
        BangerError: ``conflict`` when the state directory is served from another run directory;
            ``denied`` when others can access this one.
    """
    state = str(state or state_directory())
    check_served_from(state, str(run))
    try:
        check_private(run)
    except FileNotFoundError:
        return False
    return any(map(holder, (f"{state}/launcher.lock", *_older_locks(run))))


def _older_locks(run: "str | Path") -> tuple[str, str]:
    """The broker's lock, and that of a launcher of version 0.1.0, which was in the run
    directory."""
    return f"{run}/broker.lock", f"{run}/launcher.lock"


@contextmanager
def connect_if_running(paths: Paths | None = None) -> Iterator[Client]:
    """A connection to the services, which are neither started nor waited for.

    Raises:
        BangerError: ``unavailable`` when they are not running; else as ``running``.
    """
    run = paths.run if paths else run_directory()
    if not running(run, paths and paths.state):
        raise BangerError(
            Code.UNAVAILABLE, "the services are not running", hint="start them: banger daemon start"
        )
    with _client(run) as client:
        yield client


def _client(run: "str | Path") -> Client:
    return Client(f"{run}/{BROKER_SOCKET}")


def start() -> Paths:
    """Start the launcher, detached, unless another command does so at the moment. Returns the
    directories of the services, which may be served from another run directory by then."""
    from shared.host.retry import poll
    from shared.paths import make_private

    state = Paths.from_environment().state
    close_to_others(state)
    deadline = time.monotonic() + start_seconds()
    lock = _acquire(state / "start.lock", deadline)
    try:
        paths = Paths.from_environment()
        check_socket_length(paths.run)
        make_private(paths.run)
        if running(paths.run):
            return paths
        launcher = _spawn_launcher(paths)
        poll(lambda: running(paths.run) or launcher.poll() is not None, deadline)
        if not running(paths.run):
            _fail("launcher")
    finally:
        lock.release()
    return paths


def _acquire(path: "Path", deadline: float) -> Lock:
    from shared.host.retry import poll

    lock = poll(lambda: Lock.try_acquire(path), deadline)
    if lock is None:
        raise BangerError(Code.BUSY, f"process {holder(path)} is still starting the services")
    return lock


def _spawn_launcher(paths: Paths) -> "subprocess.Popen[bytes]":
    import subprocess

    from shared.host.programs import chosen_environment, isolated_argv

    paths.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (paths.logs / "launcher.err").open("ab") as errors:
        return subprocess.Popen(
            isolated_argv("services.launcher"),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env=chosen_environment() | {"BANGER_RUN_DIR": str(paths.run)},
            start_new_session=True,
        )


def wait_for(client: Client, wanted: tuple[str, ...], run: str, deadline: float) -> bool:
    """Return when all of ``wanted`` have registered with the broker, and have this version; False
    when the services were stopped meanwhile.

    The broker answers this itself in a fraction of a millisecond, so every command asks it.
    """
    known: dict[str, str] = {}

    def is_complete() -> bool:
        nonlocal known
        known = _registered(client, deadline)
        return known.keys() >= set(wanted)

    if not is_complete():
        from shared.host.retry import poll

        if poll(lambda: is_complete() or not running(run), deadline) and not running(run):
            return False
    for name in wanted:
        if name not in known:
            _fail(name)
    _check_builds({name: known[name] for name in wanted})
    return True


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


def ask(request: "Request[Result]", on_partial: "Partial | None" = None) -> Result:
    """Connect, ask, close. ``on_partial``: as of ``Client.ask``."""
    with connect() as client:
        return client.ask(request, on_partial=on_partial)


def ask_again(request: "Request[Result]") -> Result:
    """As ``ask``, without the check of versions: for a command that has connected before. Services
    that were stopped in the meantime are started."""
    run = run_directory()
    if not running(run):
        return ask(request)
    with _client(run) as client:
        return client.ask(request)
