"""The services that the scenarios of one group share, in directories and a network of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.smoke.expect import scaled
from scripts.smoke.ground import OUTSIDE, Ground, OwnNamespaces, ThisMachine
from scripts.smoke.own_library import fill
from shared.contract.messages.vm import NetworkMode
from shared.host.locks import holder
from shared.paths import Paths
from tests.home import Home, make_home
from tests.waiting import last_answer

CONFIG = """\
network = "{network}"
boot_timeout = {boot_timeout}
user_subnet = "127.{octet}.0.0/16"
dns.port = {dns_port}
dns.resolv_conf = "{resolv_conf}"
defaults.vcpu = 1
defaults.memory_mib = 512
"""
"""Keys before tables and dotted, so that a caller's own lines can follow."""

BOOT_TIMEOUT = 120.0
FIRST_OCTET, FIRST_PORT = 78, 42070
"""Beside those of a banger that the user of this machine may have running."""

CLOSE_SECONDS = 20.0
"""How long what goes by itself may take: processes after their services, taps after their VMs."""


class Stack:
    """A context of its own for a group: ``home`` and ``ground``, both gone after ``close``."""

    def __init__(
        self,
        number: int,
        network: NetworkMode,
        more: str,
        env: Mapping[str, str],
        *,
        own_library: bool = False,
    ) -> None:
        """``more`` is appended to config.toml; ``number`` keeps stacks apart that share a
        machine's loopback addresses. ``own_library``: images and kernels are not the user's."""
        self.network = network
        self.shared = ""
        self.dns_port = FIRST_PORT + number
        root = Path(tempfile.mkdtemp(prefix="bgr"))
        resolv_conf = root / "resolv.conf"
        resolv_conf.write_text(f"nameserver {OUTSIDE}\n")
        config = CONFIG.format(
            network=network,
            boot_timeout=scaled(BOOT_TIMEOUT),
            octet=FIRST_OCTET + number,
            dns_port=self.dns_port,
            resolv_conf=resolv_conf,
        )
        data = {"XDG_DATA_HOME": str(root / "data")} if own_library else {}
        self.ground: Ground = OwnNamespaces() if os.geteuid() == 0 else ThisMachine()
        self.home: Home = make_home(root, config + more, self.ground.prefix, {**env, **data})
        if own_library:
            fill(Paths.from_environment(), self.home.paths)

    @staticmethod
    def holder(lock: Path) -> int | None:
        """Who holds a lock file, or None."""
        return holder(lock)

    def clean(self) -> None:
        """Delete what a scenario has left, but for the VM that all share."""
        listed = self.home.banger("vm", "list", "-o", "json", timeout=scaled(60))
        names = {vm["name"]: vm["id"] for vm in json.loads(listed.stdout)}
        if self.shared not in names:
            self.shared = ""
        doomed = [identity for name, identity in names.items() if name != self.shared]
        if doomed:
            self.home.banger("vm", "delete", *doomed, timeout=scaled(120))

    def keep_logs(self, into: Path) -> list[Path]:
        """Copy the logs of services and VMs; their paths, those that say most first."""
        kept = []
        state = self.home.paths.state
        for log in sorted(state.glob("vms/*/*.log")) + sorted(state.glob("logs/*")):
            if log.stat().st_size:
                copy = into / log.relative_to(state)
                copy.parent.mkdir(parents=True, exist_ok=True)
                kept.append(Path(shutil.copy(log, copy)))
        return kept

    def close(self, logs: Path) -> list[str]:
        """Delete all VMs, stop the services, remove everything; what would not go is told."""
        left = []
        try:
            self.shared = ""
            self.clean()
        except Exception as error:
            left.append(f"VMs that could not be deleted: {error}")
        with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):
            self.home.banger("daemon", "stop", timeout=scaled(60))
        left += self._what_stays()
        self.keep_logs(logs)
        for pid in self.home.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left += self.ground.close()
        shutil.rmtree(self.home.root, ignore_errors=True)
        return left

    def _what_stays(self) -> list[str]:
        last_answer(lambda: not self._leftovers(), patience=scaled(CLOSE_SECONDS))
        return self._leftovers()

    def _leftovers(self) -> list[str]:
        processes = [f"process {pid}: {line}" for pid, line in self.home.processes().items()]
        return (
            processes
            + [f"file {path}" for path in self.home.vm_files()]
            + (self.ground.leftovers())
        )
