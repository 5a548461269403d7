"""A registry that misbehaves as a test tells it to: real HTTP on a loopback address."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.loopback import address


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def start(self) -> int:
        """Where its range begins."""
        return int(self.headers.get("range", "bytes=0-").partition("=")[2].rstrip("-"))


@dataclass
class Said:
    """An answer. ``cut``: how many bytes of the body come before the connection ends; ``endless``:
    there are always more."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    endless: bool = False


Script = Callable[[Asked], Said]


@dataclass
class ScriptedRegistry:
    """``script`` answers each request; ``asked`` keeps them."""

    host: str
    script: Script = lambda _: Said(404)
    asked: list[Asked] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked]


@contextlib.contextmanager
def scripted_registry(last: int = 11) -> Iterator[ScriptedRegistry]:
    """One that speaks plain HTTP. ``last``: the last part of its address."""
    server = ThreadingHTTPServer((address(last), 0), _Handler)
    registry = ScriptedRegistry(f"{address(last)}:{server.server_port}")
    server.registry = registry  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        registry: ScriptedRegistry = self.server.registry  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        registry.asked.append(asked)
        said = registry.script(asked)
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        if said.endless:
            self._go_on()
            return
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        self.wfile.write(said.body if said.cut is None else said.body[: said.cut])
        self.close_connection = said.cut is not None

    def _go_on(self) -> None:
        self.close_connection = True
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x" * (1 << 16))

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing: the test has what was asked."""
