"""The guest's own part of a boot: waited for until agent and sshd answer, or the cause is known."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from services.vm_supervisor.drivers.contract import End, Machine
from services.vm_supervisor.drivers.exit import tail
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.ssh import start_master
from services.vm_supervisor.launch.launcher import Guest
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vmm.accelerator import Accel

T = TypeVar("T")
LAST_WORDS = 1.0
"""Seconds in which a VMM that closed its sockets is expected to be gone."""
BOOT_ID_LENGTH = 36
HEAD_START = 0.5
"""Seconds that the first command has an emulated processor to itself."""


async def await_ready(guest: Guest, name: str, state: Path, seconds: float) -> Agent:
    """Wait until agent and sshd answer; the agent is returned, the ssh master is up.

    Raises:
        BangerError: ``guest_failed`` when the VMM ends, or nothing answers in ``seconds``.
    """
    deadline = time.monotonic() + seconds
    console = state / files.CONSOLE_LOG
    try:
        return await _unless_ended(guest.machine, _answers(guest, state, deadline))
    except _Ended as ended:
        raise BangerError(
            Code.GUEST_FAILED,
            f"{name} did not come up: {ended.end.detail}",
            hint=f"its console: {console}",
        ) from None
    except BangerError as error:
        if error.code is not Code.TIMEOUT:
            raise
        raise BangerError(
            Code.GUEST_FAILED,
            f"the agent of {name} did not answer within {seconds:.0f} s: "
            f"{likely_cause(tail(console, guest.handle.console_start))}",
            hint=f"its console: {console}",
        ) from None


async def _answers(guest: Guest, state: Path, deadline: float) -> Agent:
    # ssh not before the agent answers: a SYN that finds no network is sent again seconds later.
    agent = await Agent.connect(guest.machine.agent, deadline)
    try:
        await asyncio.gather(
            open_session(guest, state, deadline), _read_boot_id(guest, agent, deadline)
        )
    except BaseException:
        agent.close()  # the VMM serves one client at a time
        raise
    return agent


async def reach_agent(guest: Guest, deadline: float) -> Agent:
    """The agent of a guest that was ready once, whatever has become of its sshd since.

    Raises:
        BangerError: as ``Agent.connect``.
    """
    agent = await Agent.connect(guest.machine.agent, deadline)
    try:
        await _read_boot_id(guest, agent, deadline)
    except BaseException:
        agent.close()
        raise
    return agent


async def open_session(guest: Guest, state: Path, deadline: float) -> None:
    """The connection that ssh sessions share. Raises as ``start_master``."""
    await start_master(guest.access, state / files.SSH_LOG, deadline)


async def _read_boot_id(guest: Guest, agent: Agent, deadline: float) -> None:
    boot = await agent.read_file("/proc/sys/kernel/random/boot_id", deadline)
    guest.handle.guest_boot = boot[:BOOT_ID_LENGTH].decode(errors="replace").strip()


async def let_init_go_on(agent: Agent, accel: str) -> None:
    """Tell guest/init that ssh is connected: it waits to become the image's own init.

    Under emulation that init takes the processor for twenty seconds, so the first command gets
    half a second before it.
    """
    await asyncio.sleep(HEAD_START if accel == Accel.TCG else 0)
    try:
        await agent.write_file("/run/banger/go", b"go\n", time.monotonic() + 5.0)
    except BangerError:
        return  # it does not wait any more: it goes on by itself after some seconds


class _Ended(Exception):
    def __init__(self, end: End) -> None:
        self.end = end


async def _unless_ended(machine: Machine, work: Awaitable[T]) -> T:
    """``work``, given up as soon as the VMM is gone."""
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(machine.ended())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and working.exception():
            # A VMM that ends closes its sockets first: the end is the cause, the rest follows.
            await asyncio.wait({ending}, timeout=LAST_WORDS)
        if ending.done():
            raise _Ended(ending.result())
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def likely_cause(console: str) -> str:
    """What the last lines of this boot say about a guest that never answered, in a few words."""
    lines = console.splitlines()
    for line in reversed(lines):
        if "banger-init: error" in line or "Kernel panic" in line or "Out of memory" in line:
            return line.strip()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"its console ends with {last!r}" if last else "it wrote nothing to its console"
