"""L1: the emulated AMD host in which KVM works. A VM of banger like any other, deleted at the end.

It has directories of its own, so nothing of it is seen in the user's banger; images and kernels
are the user's, its own image too, which is built once.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from scripts.smoke_kvm.heartbeat import BEGIN_BEATING, Watchdog, beats_on
from scripts.smoke_kvm.step import Runner, StepFailed
from tests.home import BANGER, Home, make_home

NAME, IMAGE = "l1", "kvm-host"

INCLUDE = (
    *("python3", "nftables", "busybox-static", "openssh-client", "dnsutils", "squashfs-tools"),
    *("lz4", "sqlite3", "rsync", "systemd-resolved", "iptables"),
    *("qemu-system-x86", "mmdebstrap", "uidmap", "zstd"),
)
"""On top of the default image: what ``scripts/setup`` installs and the suite uses."""

CONFIG = """\
network = "user"
accel = "tcg"
qemu_cpu = "EPYC,+svm,family=15,model=107"
boot_timeout = 120
user_subnet = "127.76.0.0/16"
dns.port = 0
"""
"""QEMU emulates AMD's SVM well enough for KVM in the guest; Intel's VMX it does not have. The
family is one that Linux has no SRSO and Retbleed to mend on: that code, emulated, brought a kernel
down (decision 0012)."""

CONFLICT = 4
BUILD_SECONDS, BOOT_SECONDS, PUT_SECONDS, DELETE_SECONDS = 900.0, 150.0, 600.0, 60.0
BEAT_SECONDS = 30.0


class L1:
    """Make, use, ``close``. Every method raises StepFailed; what is done in L1 raises HostLost
    within a minute after L1 has stopped."""

    def __init__(self, log: Path) -> None:
        self.home: Home = make_home(Path(tempfile.mkdtemp(prefix="bgk")), CONFIG)
        self.runner = Runner(log, self.home.environment)
        self._inside = Runner(log, self.home.environment)
        self._watchdog: Watchdog | None = None

    def build(self) -> None:
        """The catalogue's image and kernel, and L1's own image; nothing when they are there."""
        base = "debian-bookworm"
        self._banger(BUILD_SECONDS, "kernel", "pull", base)
        self._banger(BUILD_SECONDS, "image", "build", base)
        words = ["image", "build", base, "--name", IMAGE, "--include", ",".join(INCLUDE)]
        if self.runner.run([BANGER, *words], BUILD_SECONDS) != 0:
            # Another list of packages than the last time; anything else fails again.
            self._banger(BUILD_SECONDS, *words, "--force")

    def boot(self, vcpus: int, memory: str) -> None:
        sizes = ("--vcpu", str(vcpus), "--memory", memory)
        self._banger(BOOT_SECONDS, "vm", "run", "-d", "--name", NAME, "--image", IMAGE, *sizes)
        self.sh(BEGIN_BEATING, BEAT_SECONDS)
        vms = self.home.paths.state / "vms"
        self._watchdog = Watchdog(lambda: beats_on(vms), self._inside.give_up)

    def put(self, write: Callable[[IO[bytes]], None]) -> None:
        """Unpack in its root what ``write`` writes: a tar stream. Compressed on the way, since
        the cipher is what takes the time."""
        unpack = self.exec_argv("sh", "-c", "lz4 -dc | tar -C / -x")
        with (
            self._inside.started(unpack, stdin=subprocess.PIPE) as unpacking,
            subprocess.Popen(
                ["lz4", "-1", "-c"], stdin=subprocess.PIPE, stdout=unpacking.stdin
            ) as packing,
        ):
            assert packing.stdin
            assert unpacking.stdin
            unpacking.stdin.close()
            late = threading.Timer(PUT_SECONDS, unpacking.terminate)
            late.start()
            try:
                with packing.stdin as stream:
                    write(stream)
                status = unpacking.wait()
            except BrokenPipeError:
                status = unpacking.wait()
            finally:
                late.cancel()
        if status != 0:
            raise StepFailed(f"what goes into L1 did not arrive (status {status})")

    def sh(self, script: str, seconds: float) -> None:
        """Run a shell script as root; it must succeed."""
        self._inside.must(self.exec_argv("sh", "-euc", script), seconds)

    def play(self, argv: list[str], seconds: float) -> int:
        """Run something whose output is for the reader, and return its status."""
        return self._inside.run(self.exec_argv(*argv), seconds, shown=True)

    def fetch(self, source: str, target: Path, seconds: float) -> None:
        """Copy a directory out."""
        argv = [BANGER, "vm", "cp", f"{NAME}:{source}", str(target)]
        self._inside.must(argv, seconds)

    def exec_argv(self, *argv: str) -> list[str]:
        return [BANGER, "vm", "exec", NAME, "--", *argv]

    def unwatch(self) -> None:
        """Let L1 be silent from now on."""
        if self._watchdog:
            self._watchdog.stop()

    def keep_logs(self, into: Path) -> None:
        """Copy L1's console and the services' logs."""
        state = self.home.paths.state
        for log in [*state.glob("vms/*/*.log"), *state.glob("logs/*.log")]:
            copy = into / log.relative_to(state)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, copy)

    def close(self) -> None:
        """Delete the VM, stop the services, remove the directories. Does all even if one fails."""
        self.unwatch()
        try:
            if self.home.vm_files():
                self.runner.run([BANGER, "vm", "delete", NAME], DELETE_SECONDS)
            self.runner.run([BANGER, "daemon", "stop"], DELETE_SECONDS)
        finally:
            self._end_what_is_left()
            shutil.rmtree(self.home.root, ignore_errors=True)

    def _end_what_is_left(self) -> None:
        """Nothing, unless a command above has failed. The next L1 needs the processors."""
        for pid, line in self.home.processes().items():
            print(f"smoke-kvm: killed, since it was still running: {line}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _banger(self, seconds: float, *arguments: str) -> None:
        self.runner.must([BANGER, *arguments], seconds)
