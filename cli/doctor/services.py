"""The services: what they report while they run, and what is seen without them."""

import json
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cli.client.connection import connect_if_running, expected_services, last_error_line, running
from cli.doctor.finding import fail, ok, warn
from shared.config import Config
from shared.contract.verbs import daemon, dns
from shared.errors import BangerError
from shared.host.programs import isolated_argv
from shared.paths import Paths
from shared.version import __version__
from shared.vmm.info import Finding

if TYPE_CHECKING:
    from shared.contract.verb import Request

Answered = TypeVar("Answered")

RESTART = "restart them: banger daemon restart"
DNS_HOST = "127.0.0.1"


def ask(paths: Paths, request: "Request[Answered]") -> "Answered | None":
    """The answer, or None when the services are not running."""
    if not running(paths.run, paths.state):
        return None
    with connect_if_running(paths) as client:
        return client.ask(request, timeout=3.0, retry=False)


def registered(paths: Paths, config: Config) -> Iterator[Finding]:
    answer = ask(paths, daemon.SERVICES())
    if answer is None:
        yield ok("services", "not running; the first command that needs them starts them")
        return
    builds = {service.name: service.build for service in answer.services}
    wanted = expected_services(paths)
    missing = [name for name in wanted if name not in builds]
    older = [name for name in wanted if builds.get(name, __version__) != __version__]
    if missing:
        said = last_error_line(paths.logs / f"{missing[0]}.err")
        found = f"not running: {', '.join(missing)}" + (f"; last message: {said}" if said else "")
        yield fail("services", found, "see: banger daemon status")
    elif older:
        yield warn("services", f"of another version: {', '.join(older)}", RESTART)
    else:
        yield ok("services", f"all {len(wanted)} are running")
    if config.nat.external:
        yield external_nat(builds.get("nat"), paths.run)


def external_nat(build: str | None, run: Path) -> Finding:
    """``build`` is that of the registered nat, None without one."""
    uid = os.geteuid()
    apart = () if run == Path(f"/run/user/{uid}/banger") else ("--run", str(run))
    command = shlex.join(isolated_argv("services.nat", "--user", str(uid), *apart))
    if build is None:
        found = "nat.external is set, but no nat is registered: no VM can join the bridge"
        return fail("nat", found, f"as root, run: {command}")
    if build != __version__:
        return warn("nat", f"of another version: {build}", f"as root, restart: {command}")
    return ok("nat", "registered, run by root")


def dns_port(paths: Paths, config: Config) -> Iterator[Finding]:
    """Whether dns listens on its port, or could."""
    port = config.dns.port
    try:
        status = ask(paths, dns.STATUS())
    except BangerError as error:
        yield fail("dns", error.message, error.hint)
        return
    if status and status.listening:
        yield ok("dns", f"listening on {status.address}, {status.names} names")
    elif status:
        yield warn("dns", status.problem, f"free port {port}, or set dns.port to another")
    elif is_free(port):
        yield ok("dns", f"port {port} is free")
    else:
        # On a shared host it may be the dns of another user.
        yield warn("dns", f"port {port} is in use by another program", "set dns.port to another")


def is_free(port: int) -> bool:
    """Whether UDP and TCP ``port`` can be bound on loopback. Both are released at once."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                probe.bind((DNS_HOST, port))
            except OSError:
                return False
    return True


def images_and_kernels(paths: Paths, config: Config) -> Iterator[Finding]:
    """Read from the disk, so that it is known without the services too."""
    defaults = config.defaults
    yield published("image", paths.images, defaults.image, "build it: banger image build")
    yield published("kernel", paths.kernels, defaults.kernel, "download it: banger kernel pull")


def published(kind: str, root: Path, default: str, how: str) -> Finding:
    """PASS when the default is there. Without it, the first VM waits for a build."""
    names = sorted(path.name for path in root.glob("by-name/*") if path.exists())
    if default not in names:
        there = ", ".join(names) or "none"
        return warn(kind, f"{default} is missing (there: {there})", f"{how} {default}")
    manifest = root / "by-name" / default / "manifest.json"
    try:
        identity = json.loads(manifest.read_text())["id"]
    except (OSError, ValueError, KeyError) as error:
        return fail(kind, f"{manifest}: {error}", f"{how} --force {default}")
    return ok(kind, f"{default} ({identity})")
