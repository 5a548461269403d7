"""Real machines: a whole ``vm run`` against the floor under it, and what a running VM costs.

The floor is the same QEMU command line, started by hand, until the guest's agent answers. It is
read off a VM that banger runs; disks and initrd are copied beforehand, so that the clock covers
QEMU and the guest alone.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.cli import banger
from benchmarks.harness.measure import Figure, median, paired, seconds
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from shared.paths import Paths

RUNS = 7
STOCK_SSHD = 2200
"""A port of the guest."""
SETTLE_SECONDS = 30.0
"""A guest under emulation is at rest this long after its boot."""


class Floor:
    """A copy of a VM's files and the command line that boots them."""

    def __init__(self, paths: Paths, vm_id: str, pid: int) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="bgr"))
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
        moved = {str(d): str(self._directory) for d in (paths.vm_run(vm_id), paths.vm_state(vm_id))}
        for directory, target in moved.items():
            words = [word.replace(directory, target) for word in words]
        # The VM's own address stays its own.
        self.argv = [word.replace("hostfwd=tcp:127.77.", "hostfwd=tcp:127.78.") for word in words]
        self._files = {
            name: source
            for source in (
                paths.vm_run(vm_id) / "initrd",
                paths.vm_state(vm_id) / "overlay.ext4",
                paths.vm_state(vm_id) / "work.ext4",
            )
            for name in [source.name]
        }
        for name, source in self._files.items():
            subprocess.run(
                ["cp", "--sparse=always", source, self._directory / f"{name}.fresh"], check=True
            )

    def prepare(self) -> None:
        """Fresh disks, outside the clock."""
        for name in self._files:
            fresh, target = self._directory / f"{name}.fresh", self._directory / name
            subprocess.run(["cp", "--sparse=always", fresh, target], check=True)

    def boot(self) -> None:
        """Start QEMU, return when the agent has answered once."""
        for stale in self._directory.glob("*.sock"):
            stale.unlink()
        with subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            try:
                asyncio.run(_answered(self._directory / "agent.sock"))
            finally:
                process.kill()

    def remove(self) -> None:
        shutil.rmtree(self._directory)


async def _answered(socket: Path) -> None:
    (await Agent.connect(AgentAddress(socket), time.monotonic() + 120)).close()


def figures(paths: Paths) -> list[Figure]:
    name = f"bench-{os.getpid()}"
    banger("vm", "create", "--no-start", "--name", name)
    banger("vm", "start", name)
    try:
        shown = json.loads(banger("vm", "show", name, "-o", "json").stdout)
        floor = Floor(paths, shown["id"], shown["pid"])
        try:
            cold = _cold_run(floor)
        finally:
            floor.remove()
        time.sleep(SETTLE_SECONDS)
        warm = _warm_exec(name, shown["access"])
        memory = proportional_set_size(paths, shown["id"])
        stops = [seconds(lambda: banger("vm", "stop", name))]
        for _ in range(2):
            banger("vm", "start", name)
            time.sleep(SETTLE_SECONDS)
            stops.append(seconds(lambda: banger("vm", "stop", name)))
    finally:
        banger("vm", "delete", name)
    return [
        cold,
        *warm,
        Figure("vm stop of an idle guest", "s", median(stops), 1.5, runs=len(stops)),
        Figure("idle supervisor, PSS", "MB", memory, 30.0, runs=1),
    ]


def _cold_run(floor: Floor) -> Figure:
    def ours() -> None:
        banger("vm", "run", "--rm", "--", "true")

    run, bare = paired(ours, floor.boot, runs=RUNS, before=floor.prepare)
    return Figure("vm run --rm -- true, cold", "s", run, 1.5, bare, "QEMU by hand to agent", RUNS)


def _warm_exec(name: str, access: dict[str, str]) -> list[Figure]:
    """Over the shared connection, against an ssh of its own: to our sshd, which is made cheap, and
    to the distribution's, as it is configured when it is installed."""
    pinned = [f"UserKnownHostsFile={access['known_hosts']}", f"HostKeyAlias={access['alias']}"]
    unpinned = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
    ours = _fresh_ssh(access, access["port"], pinned)
    stock = _fresh_ssh(access, _start_stock_sshd(name), unpinned)
    return [
        _against(access, ours, "ssh host true, fresh, our sshd"),
        _against(access, stock, "ssh host true, fresh, Debian's sshd"),
    ]


def _fresh_ssh(access: dict[str, str], port: object, options: list[str]) -> list[str]:
    return [
        *("ssh", "-F", "/dev/null", "-p", str(port), "-i", access["key"]),
        *(word for option in options for word in ("-o", option)),
        *("-o", "BatchMode=yes", f"root@{access['host']}", "true"),
    ]


def _start_stock_sshd(name: str) -> int:
    """In the guest, on a port of its own; returns the host's port that leads there."""
    script = (
        "ssh-keygen -A >/dev/null; mkdir -p -m 700 /root/.ssh /run/sshd;"
        f"cp /run/banger/authorized_keys /root/.ssh/; /usr/sbin/sshd -p {STOCK_SSHD}"
    )
    banger("vm", "exec", name, "--", "sh", "-c", script)
    while True:
        ports = json.loads(banger("vm", "show", name, "-o", "json").stdout)["ports"]
        if f"tcp/{STOCK_SSHD}" in ports:
            return int(ports[f"tcp/{STOCK_SSHD}"])
        time.sleep(0.2)


def _against(access: dict[str, str], fresh: list[str], peer: str) -> Figure:
    shared, alone = paired(
        lambda: banger("vm", "exec", access["alias"], "--", "true"),
        lambda: subprocess.run(fresh, check=True, stdin=subprocess.DEVNULL),
        runs=RUNS,
    )
    return Figure("exec -- true, warm", "s", shared, 0.35, alone, peer, RUNS)


def proportional_set_size(paths: Paths, vm_id: str) -> float:
    """Of the VM's supervisor, in MB (10^6 bytes); proc_pid_smaps_rollup, line Pss."""
    pid = (paths.vm_run(vm_id) / "lock").read_text().strip()
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6
