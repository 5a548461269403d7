"""A guest that is booted by hand, with the files that the product would make for it.

A VM's initrd cannot be taken from the VM: it holds the guest's host key, so the supervisor removes
it when the guest has answered.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness.product import default_image
from services.vm_supervisor.disks.layout import ensure_overlay, ensure_work_disk
from services.vm_supervisor.drivers.contract import Drives
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.guest.ssh import ensure_key
from services.vm_supervisor.launch.drives import drives_of
from services.vm_supervisor.launch.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.network.modes import GuestNetwork, user_network
from services.vm_supervisor.network.outside_filter import filtered_pair
from shared.errors import BangerError
from shared.vm import files
from shared.vmm.info import Channel
from tests import loopback
from tests.home import Home

ANSWER_SECONDS = 300.0
"""What a guest may take until its agent answers."""
ASK_SECONDS = 2.0
"""Between two requests to power off."""


def write_files(
    directory: Path,
    network: GuestNetwork,
    agent: Channel,
    *,
    overlay_bytes: int,
    work_bytes: int,
) -> Drives:
    """Make the initrd and both disks of a guest of the default image in ``directory``, where none
    is yet. Returns the guest's drives."""
    image, kernel = default_image()
    drives = drives_of(image, kernel, directory)
    key = ensure_key(directory / files.HOST_KEY)
    version = json.loads((kernel / "manifest.json").read_text())["version"]
    identity = GuestIdentity(
        *("bench", "0" * 32, key.private, key.public, version, network, agent), drives
    )
    write_initrd(directory / files.INITRD, kernel / "initrd-modules.cpio", identity)
    ensure_overlay(directory / files.OVERLAY, overlay_bytes)
    ensure_work_disk(directory / files.WORK_DISK, work_bytes)
    return drives


async def answered(address: AgentAddress) -> None:
    """Return when the guest's agent has answered once."""
    (await Agent.connect(address, time.monotonic() + ANSWER_SECONDS)).close()


_INHERITED = re.compile(r"local\.str=\d+")
"""An end of the filtered pair of sockets before the outside, by its descriptor."""
_MEMORY = re.compile(r"(mem-path=/proc/self/fd/)\d+")
"""The memory of an emulated guest that has booted, by its descriptor."""


class QemuByHand:
    """The QEMU of a VM that runs in user mode, with the same command line, in a directory of its
    own. ``prepare`` comes before each ``boot``."""

    def __init__(self, home: Home, name: str) -> None:
        shown = json.loads(home.banger("vm", "show", name, "-o", "json").stdout)
        run, state = home.paths.vm_run(shown["id"]), home.paths.vm_state(shown["id"])
        self._directory = Path(tempfile.mkdtemp(prefix="bgr"))
        self._vm_id: str = shown["id"]
        self._memory_bytes = int(shown["memory_mib"]) << 20
        self._sizes = [(state / disk).stat().st_size for disk in (files.OVERLAY, files.WORK_DISK)]
        self._argv = Path(f"/proc/{shown['pid']}/cmdline").read_text().split("\0")[:-1]
        for directory in (run, state):
            self._replace(str(directory), str(self._directory))
        # The VM keeps its loopback address, and the name by which its VMM is recognised.
        self._replace(
            f"hostfwd=tcp:{shown['access']['host']}:", f"hostfwd=tcp:{loopback.address(9)}:"
        )
        self._replace(f"banger-{self._vm_id}", "by-hand")
        self._process: subprocess.Popen[bytes] | None = None

    def _replace(self, old: str, new: str) -> None:
        self._argv = [word.replace(old, new) for word in self._argv]

    def prepare(self) -> None:
        """End the guest if it runs, and make its files anew."""
        self.close()
        self._directory.mkdir()
        network = user_network(self._vm_id, loopback.OWN_ADDRESS, 22, nat=False)
        overlay, work = self._sizes
        write_files(
            *(self._directory, network, "virtio-serial"),
            overlay_bytes=overlay,
            work_bytes=work,
        )

    def boot(self) -> None:
        """Start QEMU; return when the guest's agent has answered."""
        self._launch()
        asyncio.run(answered(self._agent))

    def _launch(self) -> int:
        """Start QEMU with the descriptors that it inherits; returns its pid."""
        quiet = subprocess.DEVNULL
        with contextlib.ExitStack() as until_it_runs:
            memory = os.memfd_create("by-hand")
            until_it_runs.callback(os.close, memory)
            os.truncate(memory, self._memory_bytes)
            pair = [until_it_runs.enter_context(end).fileno() for end in filtered_pair(())]
            ends = iter(pair)
            argv = [_MEMORY.sub(rf"\g<1>{memory}", word) for word in self._argv]
            argv = [_INHERITED.sub(lambda _: f"local.str={next(ends)}", word) for word in argv]
            self._process = subprocess.Popen(
                argv, stdin=quiet, stdout=quiet, pass_fds=[memory, *pair]
            )
        return self._process.pid

    def power_off(self) -> None:
        """Ask the guest to power off, again while it has no init yet to hear it; return when QEMU
        has ended."""
        assert self._process, "boot comes first"
        while self._process.poll() is None:
            with contextlib.suppress(BangerError):  # the agent ends before the guest does
                asyncio.run(_ask_to_power_off(self._agent))
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ASK_SECONDS)

    def close(self) -> None:
        """End the guest if it runs, and remove its files."""
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory)

    @property
    def _agent(self) -> AgentAddress:
        return AgentAddress(self._directory / files.AGENT_SOCKET)


async def _ask_to_power_off(address: AgentAddress) -> None:
    deadline = time.monotonic() + ASK_SECONDS
    agent = await Agent.connect(address, deadline)
    try:
        await agent.power_off(deadline)
    finally:
        agent.close()
