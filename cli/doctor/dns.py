"""Whether the system's resolver, which all programs ask, knows the names of VMs."""

import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

from cli.doctor.finding import ok, warn
from cli.doctor.services import ask
from shared.addresses.reverse_zones import reverse_zones
from shared.config import Config
from shared.contract.verbs import api
from shared.errors import BangerError
from shared.paths import Paths
from shared.vmm.info import Finding

RESOLVE_SECONDS = 3.0
"""The time for the system's resolver, which may wait for a dead server for over 10 s."""

RECIPES = "see docs/dns.md; for ssh alone: banger ssh-config --install"

Lookup = Callable[[str, None], list[tuple[Any, ...]]]
"""As getaddrinfo(3): the last item of each is (address, port, …)."""


def names(paths: Paths, config: Config) -> Iterator[Finding]:
    """Look up the name of one running VM. Another check is about the service ``dns``."""
    try:
        answer = ask(paths, api.VM_LIST())
    except BangerError as error:
        yield warn("names", f"not checked: {error.message}", error.hint)
        return
    if answer is None:
        yield ok("names", "not checked: the services are not running")
        return
    live = [view.vm for view in answer.vms if view.vm.state == "running"]
    if not live:
        yield ok("names", "not checked: no VM is running")
        return
    name, address = f"{live[0].name}.vm", live[0].address
    yield judged(name, address, resolve(name, RESOLVE_SECONDS), zones_of(config))


def zones_of(config: Config) -> str:
    """The zones of banger's name server, as the recipes need them."""
    subnets = [config.user_network, IPv4Network(config.nat.subnet)]
    return " ".join(("vm", *(zone for subnet in subnets for zone in reverse_zones(subnet))))


def judged(name: str, address: str, found: list[str] | None, zones: str) -> Finding:
    """``found`` are the addresses that ``name`` resolved to, None when that took too long."""
    recipes = f"{RECIPES} (zones: {zones})"
    if found is None:
        return warn("names", f"no answer for {name} within {RESOLVE_SECONDS:g} s", recipes)
    if address in found:
        return ok("names", f"{name} resolves to {address}")
    what = f"resolves to {', '.join(found)}, not to {address}" if found else "does not resolve here"
    return warn("names", f"{name} {what}", recipes)


def resolve(name: str, seconds: float, lookup: Lookup = socket.getaddrinfo) -> list[str] | None:
    """Addresses of ``name``, none where there is no such name; None after ``seconds``.

    In a thread that is left behind then: getaddrinfo(3) can be neither cancelled nor timed.
    """
    found: list[str] = []

    def work() -> None:
        try:
            found.extend(str(entry[-1][0]) for entry in lookup(name, None))
        except OSError:  # gaierror: it does not resolve
            return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return None if thread.is_alive() else list(dict.fromkeys(found))
