"""One user's banger in directories of its own: for the tests and the smoke suite.

Images and kernels are the user's (built once, read-only); configuration, state and run directory
are new.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from shared.paths import Paths

BANGER = str(Path(sys.executable).with_name("banger"))
BOOT_SECONDS = 180
"""A guest under emulation, on a machine that does other things too."""


@dataclass(frozen=True)
class Home:
    """One user's banger: directories, environment, and the command in them."""

    root: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()
    """Words in front of the command, e.g. ``ip netns exec NAME``."""

    @property
    def paths(self) -> Paths:
        return Paths(
            config=self.root / "config" / "banger",
            data=Paths.from_environment().data,
            state=self.root / "state" / "banger",
            run=self.root / "run",
        )

    def argv(self, *arguments: str) -> list[str]:
        return [*self.prefix, BANGER, *arguments]

    def banger(
        self, *arguments: str, stdin: bytes = b"", check: bool = True, timeout: float = BOOT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end. With ``check``, anything but 0 fails the test."""
        done = subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
        if check:
            assert text.returncode == 0, f"{arguments}: {text.returncode}\n{text.stderr}"
        return text

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.argv(*arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def processes(self) -> dict[int, str]:
        """pid → command line of every process that belongs to this home."""
        mark = f"BANGER_RUN_DIR={self.paths.run}".encode()
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = line
            except OSError:
                continue  # ended meanwhile
        return {pid: line for pid, line in found.items() if line}

    def vm_processes(self) -> dict[int, str]:
        """Those that only a VM has: VMM and ssh master."""
        return {
            pid: line
            for pid, line in self.processes().items()
            if "qemu-system" in line or line.startswith("ssh")
        }

    def vm_files(self) -> list[Path]:
        directories = (self.paths.run / "vms", self.paths.state / "vms")
        return [path for d in directories if d.exists() for path in d.iterdir()]


def make_home(
    root: Path,
    config: str = "",
    prefix: tuple[str, ...] = (),
    extra: Mapping[str, str] = MappingProxyType({}),
) -> Home:
    """Directories below ``root``, which must be short: sockets' paths are. ``extra`` is added to
    the environment."""
    for name in ("config/banger", "state", "cache"):
        (root / name).mkdir(parents=True)
    (root / "config" / "banger" / "config.toml").write_text(config)
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(root / "config"),
        "XDG_DATA_HOME": str(Paths.from_environment().data.parent),
        "XDG_STATE_HOME": str(root / "state"),
        "XDG_CACHE_HOME": str(root / "cache"),
        "BANGER_RUN_DIR": str(root / "run"),
        **extra,
    }
    return Home(root, environment, prefix)


def close_home(home: Home) -> None:
    """Delete what is left, stop the services; then nothing may be left at all."""
    leftover_vms = home.banger("vm", "list", "-q").stdout.split()
    if leftover_vms:
        home.banger("vm", "delete", *leftover_vms)
    home.banger("daemon", "stop")
    await_true(lambda: not home.processes(), 10)
    leftovers = home.processes()
    for pid in leftovers:
        os.kill(pid, signal.SIGKILL)
    assert not leftovers, f"processes left behind: {leftovers}"
    assert not home.vm_files(), f"files left behind: {home.vm_files()}"
    assert not leftover_vms, f"VMs left behind: {leftover_vms}"


def await_true(condition: Callable[[], object], seconds: float) -> None:
    """Poll until ``condition()`` holds or the deadline passes; the caller asserts."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
