"""banger as a benchmark uses it: in directories of its own, so that the user's VMs are not in it.

The image and the kernel are the user's; they are made when they are not there.
"""

import contextlib
import io
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.paths import Paths
from tests import loopback
from tests.home import Home, close_home, make_home
from tests.stack import Stack, new_stack

IMAGE = "debian-bookworm"
"""The name of the default image, and of the default kernel."""

_BUILD_SECONDS = 900.0
_SETTLE_SECONDS = 600.0


def free_port() -> int:
    """A UDP port of loopback that nothing listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def installed(config: str = "") -> Iterator[Home]:
    """All services, no VM; ``config`` is added to their configuration. Fails when a VM, a process
    or a file of a VM is left at the end."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), loopback.configuration() + config)
        try:
            home.banger("image", "build", IMAGE, timeout=_BUILD_SECONDS)
            home.banger("kernel", "pull", IMAGE, timeout=_BUILD_SECONDS)
            yield home
        finally:
            close_home(home)


def settle(home: Home, *names: str) -> None:
    """Return when the systemd of each of these VMs has started everything, or given some of it up
    ("degraded", so the status does not matter)."""
    for name in names:
        wait = ("vm", "exec", name, "--", "systemctl", "is-system-running", "--wait")
        home.banger(*wait, check=False, timeout=_SETTLE_SECONDS)


@contextlib.contextmanager
def only(*services: str, config: str = "") -> Iterator[Stack]:
    """These services alone, started in this order. Their logs are dropped."""
    with contextlib.redirect_stdout(io.StringIO()), new_stack(config) as stack:
        for service in services:
            stack.start(service)
        yield stack


def default_image() -> tuple[Path, Path]:
    """The directories of the default image and the default kernel."""
    paths = Paths.from_environment()
    image, kernel = (library / "by-name" / IMAGE for library in (paths.images, paths.kernels))
    if not (image.exists() and kernel.exists()):
        with installed():
            pass  # makes them
    return image.resolve(), kernel.resolve()


def interpreter() -> None:
    """The floor under every command: Python, started to do nothing."""
    subprocess.run([sys.executable, "-c", "pass"], check=True)
