"""Where a stack of services lives in the network.

As root that is a network namespace of its own, joined by a cable to a second one, the outside,
where a web server and a resolver listen; both vanish with the last process in them. An ordinary
user's stack is in the machine's own network and uses its loopback addresses only.
"""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from tests.integration.namespaces import Namespace, WebServer
from tests.integration.upstream import Asked, Upstream, reply_to

T = TypeVar("T")

UPLINK, OUTSIDE = "192.31.196.1", "192.31.196.2"
"""Ends of the cable: documentation addresses (RFC 5737), which nobody routes."""

WEB_PORT = 8080


SITE = "site.example"
"""The one name that the resolver outside knows: the web server's."""


class Ground(Protocol):
    """A place for a stack, and a web server outside of it that tells who asked."""

    prefix: tuple[str, ...]
    """Words before a command that shall run here."""
    web: tuple[str, int] | None
    """Address and port of the server outside; None when this machine has no outside."""
    uplink: str
    """The address that the server outside sees guests come from."""

    def run(self, action: Callable[[], T]) -> T:
        """Do ``action`` here."""

    def leftovers(self) -> list[str]:
        """What banger has made here and not removed."""

    def close(self) -> list[str]:
        """Remove it, and tell what would not go."""


class OwnNamespaces:
    """As root: nothing is ever made in the machine's own network namespace."""

    def __init__(self) -> None:
        self._place, self._outside = Namespace(), Namespace()
        self._places = {self._place: "the stack's", self._outside: "the outside's"}
        self._names = {place: Path(place.path).readlink() for place in self._places}
        self._place.cable_to(self._outside, "uplink", f"{UPLINK}/24", f"{OUTSIDE}/24")
        self._place.sh(f"ip route add default via {OUTSIDE}")
        self._server = WebServer(self._outside, OUTSIDE, WEB_PORT)
        self._resolver = Upstream(self._outside, OUTSIDE, _answer, port=53)
        self.prefix: tuple[str, ...] = ("nsenter", f"--net={self._place.path}", "--")
        self.web: tuple[str, int] | None = (OUTSIDE, WEB_PORT)
        self.uplink = UPLINK

    def run(self, action: Callable[[], T]) -> T:
        return self._place.run(action)

    def leftovers(self) -> list[str]:
        lines = self._place.sh("ip -o link").splitlines()
        names = {line.split(":")[1].strip().partition("@")[0] for line in lines}
        interfaces = [f"interface {name}" for name in sorted(names - {"lo", "uplink"})]
        return interfaces + self._place.sh("nft list tables").splitlines()

    def close(self) -> list[str]:
        self._server.close()
        self._resolver.close()
        self._place.close()
        self._outside.close()
        return [
            f"{whose} namespace, held by process {pid}"
            for place, whose in self._places.items()
            for pid in self._held_by(place)
        ]

    def _held_by(self, place: Namespace) -> list[str]:
        """Pids of processes that are still in it."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns" / "net").readlink() == self._names[place]:
                    found.append(process.name)
            except OSError:
                continue  # ended meanwhile
        return found


def _answer(asked: Asked) -> list[bytes]:
    """The web server's address, for its name (in any case) and type A."""
    if asked.name.lower() != f"{SITE}.":
        return [reply_to(asked, rcode=3)]
    if asked.record.q.qtype != 1:
        return [reply_to(asked)]
    return [reply_to(asked, f"{asked.name} 60 IN A {OUTSIDE}")]


class ThisMachine:
    """An ordinary user's: nothing is changed, so there is nothing to remove but the server."""

    def __init__(self) -> None:
        self.prefix: tuple[str, ...] = ()
        self.uplink = _own_address()
        self._server = WebServer(_Here(), self.uplink, 0) if self.uplink else None
        self.web = (self.uplink, self._server.port) if self._server else None

    def run(self, action: Callable[[], T]) -> T:
        return action()

    def leftovers(self) -> list[str]:
        return []

    def close(self) -> list[str]:
        if self._server:
            self._server.close()
        return []


class _Here:
    def run(self, action: Callable[[], T]) -> T:
        return action()


def _own_address() -> str:
    """The address with which this machine would speak to another one; "" when it has none.

    Connecting a datagram socket sends nothing: the kernel only chooses the address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((OUTSIDE, WEB_PORT))
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def output(ground: Ground, *argv: str) -> str:
    """What a program prints that is run in ``ground``; raises when it fails."""
    done = subprocess.run([*ground.prefix, *argv], capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
