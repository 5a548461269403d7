"""A VM of the pool: put aside as soon as it is ready, and handed over to the user who comes.

Its guest has an identity of its own by then, but for the name, and its ssh connection is open.
Guest and ssh master stand still together, since a master gives a mute guest up after 45 s. What the
first command will need has run once: an emulated processor is fast at what it knows
(docs/decisions/0056).
"""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from msgspec.structs import replace

from services.vm_supervisor.disks.uninterrupted import in_thread
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.renewal import hand_over
from services.vm_supervisor.handle_file import note_handle
from services.vm_supervisor.launch.readiness import reach_agent
from services.vm_supervisor.lifecycle.live_changes import apply_row
from services.vm_supervisor.lifecycle.vm_life import VmLife
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.guest_command import PROGRAM, GuestCommand, environment
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.kernel_text import process_fields, read_kernel_text
from shared.host.process import ProcessId, send_signal, start_time
from shared.ssh.shared_connection import SharedSession, master_pid
from shared.vm import files, known_hosts

HAND_OVER_SECONDS = 5.0
"""What a guest may take. A user waits, and there are other ways to a VM."""
WARM_SECONDS = 30.0
WARM_SESSIONS = 2
NOTHING = GuestCommand(["true"])
SETTLE_SECONDS = 15.0
"""How long a guest that stays busy is waited for."""
_LOOK_SECONDS = 0.5
_BUSY = 0.1
"""Of a processor: a guest that uses less is idle."""
_FIRST_TO_GO = {"vmm": 900, "supervisor": 500}
"""The oom_score_adj (proc(5)) of processes that nobody would miss."""


class Waiting:
    """Puts the VM of one supervisor aside, and hands it over."""

    def __init__(self, life: VmLife) -> None:
        self._life = life
        self._oom_score = _read_oom_score()

    async def begin(self, running: RunningVm, agent: Agent) -> None:
        """Put aside a VM that has become ready: the state ``paused`` is reported. Raises what
        keeps it from being of use."""
        life = self._life
        await self._settle(running)
        await self._warm_up(running, agent)
        await self._settle(running)
        async with life.agent_parted():
            await self.stand_still(running)
        await life.report("paused")

    async def stand_still(self, running: RunningVm) -> None:
        """Have guest and ssh master stand still; they may do so already. The handle says so first:
        then no successor lets them go on."""
        handle = running.handle
        handle.waits = True
        if handle.halted is None:
            pid = await in_thread(master_pid, running.access.control)
            since = start_time(pid) if pid else None
            handle.halted = ProcessId(pid, since) if pid and since is not None else None
        note_handle(self._life.run, handle, self._life.log)
        await running.machine.pause()
        if handle.halted:
            send_signal(handle.halted, signal.SIGSTOP)
        _set_oom_score(handle.pid, _FIRST_TO_GO["vmm"])
        _set_oom_score(os.getpid(), _FIRST_TO_GO["supervisor"])

    async def end(self, running: RunningVm, wanted: Vm) -> None:
        """Make the VM the one that ``wanted`` says. May be done again.

        Raises:
            BangerError: ``guest_failed``, ``timeout`` or what ``apply_row`` says. The VM is of no
                use then.
        """
        life, handle = self._life, running.handle
        deadline = time.monotonic() + HAND_OVER_SECONDS
        if handle.halted:
            send_signal(handle.halted, signal.SIGCONT)
        await running.machine.resume()
        agent, *_ = await asyncio.gather(
            self._tell_guest(running, wanted.name, deadline),
            apply_row(running, life.ports, life.vm, wanted),
            in_thread(known_hosts.rename, life.launcher.paths.known_hosts, wanted.id, wanted.name),
            in_thread(self._note_end, running),
        )
        life.spec = replace(life.spec, vm=wanted)
        await life.report("running", stored=True)
        life.reached(running, agent)

    async def _tell_guest(self, running: RunningVm, name: str, deadline: float) -> Agent:
        agent = self._life.agent or await reach_agent(running, deadline)
        await hand_over(agent, name, deadline)
        return agent

    def _note_end(self, running: RunningVm) -> None:
        """A successor lets the guest run from now on, and is asked again to hand it over."""
        handle = running.handle
        handle.waits, handle.halted = False, None
        console = self._life.directory / files.CONSOLE_LOG
        with contextlib.suppress(OSError):
            handle.console_start = console.stat().st_size
        note_handle(self._life.run, handle, self._life.log)
        for pid in (handle.pid, os.getpid()):
            _set_oom_score(pid, self._oom_score)

    async def _warm_up(self, running: RunningVm, agent: Agent) -> None:
        """Run what a hand-over and a first command run."""
        deadline = time.monotonic() + WARM_SECONDS
        await hand_over(agent, self._life.vm.name, deadline)
        for _ in range(WARM_SESSIONS):
            await _session(running.access.control, deadline)

    async def _settle(self, running: RunningVm) -> None:
        """Wait until the guest is idle: what renewal left to be done later is done."""
        limit = time.monotonic() + SETTLE_SECONDS
        used = _cpu_seconds(running.handle.pid)
        while time.monotonic() < limit:
            await asyncio.sleep(_LOOK_SECONDS)
            before, used = used, _cpu_seconds(running.handle.pid)
            if used - before < _BUSY * _LOOK_SECONDS:
                return


async def _session(control: str, deadline: float) -> None:
    """A command as users run them. Raises ``guest_failed``."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        session = SharedSession(control, PROGRAM, environment(NOTHING, "warm"), (null, null, null))
    except OSError as error:
        raise BangerError(Code.GUEST_FAILED, f"no ssh session: {error}") from error
    finally:
        os.close(null)
    try:
        while not session.ended and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            session.receive()
    finally:
        session.close()
    if session.status is None:
        raise BangerError(Code.GUEST_FAILED, "the guest's sshd runs no command")


def _cpu_seconds(pid: int) -> float:
    """What the VMM has used; 0 when it is gone, which others notice."""
    with contextlib.suppress(OSError):
        fields = process_fields(pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _read_oom_score() -> int:
    return int(read_kernel_text("/proc/self/oom_score_adj"))


def _set_oom_score(pid: int, score: int) -> None:
    """Without the privilege to lower it, or for a jailed VMM, it stays."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
