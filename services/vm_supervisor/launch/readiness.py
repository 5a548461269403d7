"""The guest's own part of a boot: wait until agent and sshd answer, or until the cause is known."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from services.vm_supervisor.drivers.contract import Machine, VmmExit
from services.vm_supervisor.drivers.exit import last_line_with, tail
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.ssh import start_master
from services.vm_supervisor.running_vm import RunningVm
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.vm import files
from shared.vmm.accelerator import Accel

T = TypeVar("T")
Prepare = Callable[[RunningVm, Agent], Awaitable[None]]
"""What a guest whose agent answers needs before ssh is let in."""
EXIT_SECONDS = 1.0
"""How soon a VMM that has closed its sockets is expected to be gone."""
BOOT_ID_LENGTH = 36
HEAD_START = 0.5
RELEASE_SECONDS = 5.0
"""What the agent may take to write a line into a pipe."""


async def await_ready(
    running: RunningVm, name: str, state: Path, seconds: float, prepare: Prepare
) -> Agent:
    """Wait until agent and sshd answer. The agent is returned, the ssh master is up. ``prepare`` is
    done to the guest in between.

    Raises:
        BangerError: ``guest_failed`` when the VMM ends, or nothing answers in ``seconds``.
    """
    deadline = time.monotonic() + seconds
    console = state / files.CONSOLE_LOG
    try:
        return await _unless_ended(running.machine, _answers(running, state, deadline, prepare))
    except _Ended as ended:
        raise BangerError(
            Code.GUEST_FAILED,
            f"{name} did not boot: {ended.end.detail}",
            hint=f"its console: {console}",
        ) from None
    except BangerError as error:
        if error.code is not Code.TIMEOUT:
            raise
        raise BangerError(
            Code.GUEST_FAILED,
            f"the agent of {name} did not answer within {seconds:.0f} s: "
            f"{likely_cause(tail(console, running.handle.console_start))}",
            hint=f"its console: {console}",
        ) from None


async def _answers(running: RunningVm, state: Path, deadline: float, prepare: Prepare) -> Agent:
    # ssh not before the agent answers: a SYN that finds no network is sent again seconds later.
    opened, running.channel = running.channel, None
    agent = await Agent.connect(running.machine.agent, deadline, opened)
    try:
        await prepare(running, agent)
        await asyncio.gather(
            open_session(running, state, deadline), _know_boot_id(running, agent, deadline)
        )
    except BaseException:
        agent.close()  # the VMM serves one client at a time
        raise
    return agent


async def reach_agent(running: RunningVm, deadline: float) -> Agent:
    """The agent of a guest that was ready once, whatever has become of its sshd since.

    Raises:
        BangerError: as ``Agent.connect``.
    """
    agent = await Agent.connect(running.machine.agent, deadline)
    try:
        await _read_boot_id(running, agent, deadline)
    except BaseException:
        agent.close()
        raise
    return agent


async def open_session(running: RunningVm, state: Path, deadline: float) -> None:
    """Open the connection that ssh sessions share. Raises as ``start_master``."""
    log, adopted = state / files.SSH_LOG, running.adopted
    await start_master(running.access, log, deadline, adopted=adopted)


async def _know_boot_id(running: RunningVm, agent: Agent, deadline: float) -> None:
    """A copy has one that it was given."""
    if running.handle.beginning != "copy":
        await _read_boot_id(running, agent, deadline)


async def _read_boot_id(running: RunningVm, agent: Agent, deadline: float) -> None:
    boot = await agent.read_file("/proc/sys/kernel/random/boot_id", deadline)
    running.handle.guest_boot = printable(boot.decode(errors="replace").strip(), BOOT_ID_LENGTH)


def head_start(accel: str) -> float:
    """Seconds that the first command has the processor to itself, where that is an emulated one."""
    return HEAD_START if accel == Accel.TCG else 0.0


async def release_init(agent: Agent, accel: str) -> None:
    """Tell guest/rootfs/start, which waits to become the image's own init, that ssh is connected.

    Under emulation that init takes the processor for twenty seconds: the first command comes first.
    """
    await asyncio.sleep(head_start(accel))
    try:
        await agent.write_file("/run/banger/go", b"go\n", time.monotonic() + RELEASE_SECONDS)
    except BangerError:
        return  # it waits for some seconds only, and has gone on by itself


class _Ended(Exception):
    def __init__(self, end: VmmExit) -> None:
        self.end = end


async def _unless_ended(machine: Machine, work: Awaitable[T]) -> T:
    """The result of ``work``, which is given up as soon as the VMM is gone."""
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(machine.ended())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and working.exception():
            # A VMM that ends closes its sockets first: its end is the cause, the rest follows.
            await asyncio.wait({ending}, timeout=EXIT_SECONDS)
        if ending.done():
            raise _Ended(ending.result())
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def likely_cause(console: str) -> str:
    """Why a guest never answered, in a few words, from the console output of its boot."""
    for sign in ("banger-init: error", "Kernel panic", "Out of memory"):
        if line := last_line_with(console, sign):
            return line
    last = last_line_with(console, "")
    return f"its console ends with {last!r}" if last else "it wrote nothing to its console"
