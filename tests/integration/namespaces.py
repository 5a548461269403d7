"""Network namespaces for tests: threads that have left the machine's own, and guests on taps.

``unshare(2)`` moves only the calling thread, so every namespace here is a thread. What is called
through ``run`` acts in it, child processes included, and it vanishes with the thread: nothing is
left behind even when a test dies.
"""

import ctypes
import errno
import fcntl
import os
import selectors
import struct
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Protocol, TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class Namespace:
    """A fresh network namespace with its loopback up."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self.path = self._thread.submit(_enter_fresh).result()
        # Addresses are final at once, so that two looks at a namespace can be compared.
        self.sh("sysctl -qw net.ipv6.conf.default.accept_dad=0")
        self.sh("ip link set lo up")

    def run(self, action: Callable[[], T]) -> T:
        """Do ``action`` inside, and wait for it."""
        return self._thread.submit(action).result()

    def sh(self, command: str) -> str:
        """Run one command inside; raises when it fails."""
        argv = command.split()
        done = self.run(lambda: subprocess.run(argv, capture_output=True, text=True, timeout=20))
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def close(self) -> None:
        self._thread.shutdown()

    def cable_to(self, other: "Namespace", name: str, here: str, there: str) -> None:
        """A veth pair, ``name`` on both sides, with an address (and prefix) on each."""
        self.sh(f"ip link add {name} type veth peer name peer0")
        self.sh(f"ip link set peer0 netns {other.path}")
        other.sh(f"ip link set peer0 name {name}")
        for side, address in ((self, here), (other, there)):
            side.sh(f"ip addr add {address} dev {name}")
            # A link-local address would appear, with its route, at any moment of the next seconds.
            side.sh(f"ip link set {name} addrgenmode none up")


def _enter_fresh() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    path = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
    if Path(path).readlink() == Path(f"/proc/{os.getpid()}/ns/net").readlink():
        raise RuntimeError("still in the machine's own network namespace")
    return path


def open_tun() -> int:
    """A tun descriptor of this thread's namespace that is not joined to an interface yet."""
    return os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def join_tap(fd: int, name: str) -> None:
    """Join ``fd`` to a tap as a VMM does, or make one where the caller has the privilege."""
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))


def open_tap(name: str) -> int:
    fd = open_tun()
    join_tap(fd, name)
    return fd


class Guest(Namespace):
    """A namespace in a VM's place: frames pass between its eth0 and the host's tap."""

    def __init__(self, host: Namespace, tap: str, mac: str, address: str, gateway: str) -> None:
        super().__init__()
        self._taps = (host.run(lambda: open_tap(tap)), self.run(lambda: open_tap("eth0")))
        self._stop_read, self._stop_write = os.pipe()
        self._pump = threading.Thread(target=self._carry)
        self._pump.start()
        self.sh(f"ip link set eth0 address {mac}")
        self.sh(f"ip addr add {address} dev eth0")
        self.sh("ip link set eth0 up")
        self.sh(f"ip route add default via {gateway}")

    def _carry(self) -> None:
        one, other = self._taps
        across = {one: other, other: one}
        with selectors.DefaultSelector() as waiting:
            for fd in (*self._taps, self._stop_read):
                waiting.register(fd, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    if key.fd == self._stop_read:
                        return
                    if not _carry_frame(key.fd, across[key.fd]):
                        waiting.unregister(key.fd)

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        self._pump.join()
        for fd in (*self._taps, self._stop_read, self._stop_write):
            os.close(fd)
        super().close()


def _carry_frame(source: int, target: int) -> bool:
    """False once there will be no more frames from ``source``, because its tap is gone."""
    try:
        frame = os.read(source, 65536)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EIO)
    with suppress(OSError):  # that side is down: the frame is lost, as on a cable
        os.write(target, frame)
    return True


class Place(Protocol):
    """Where something can be done: a namespace, or just here."""

    def run(self, action: Callable[[], T]) -> T:
        """Do ``action`` there, and wait for it."""


class WebServer:
    """A tiny HTTP server in a place that answers with the address it was asked from; a connection
    that nobody ends keeps none of the others waiting."""

    def __init__(self, place: Place, address: str, port: int) -> None:
        """``port`` 0: any that is free."""
        self._server = place.run(lambda: _Threads((address, port), _TellPeer))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Threads(ThreadingTCPServer):
    daemon_threads = True


class _TellPeer(BaseHTTPRequestHandler):
    timeout = 20.0
    """Seconds of silence after which a connection is given up: it may have been cut on purpose."""

    def do_GET(self) -> None:
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet: stderr is the test's."""
