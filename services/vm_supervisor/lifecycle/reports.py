"""Reports about a running VM: what it uses, the ports it listens on, and its health."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Iterator
from typing import NamedTuple

from services.vm_supervisor.guest.agent import SHELL, Agent
from services.vm_supervisor.guest.inhibitors import inhibitor
from services.vm_supervisor.guest.ssh import master_pid
from services.vm_supervisor.ports.connections import connections_to
from services.vm_supervisor.ports.forwards import MOST_FORWARDS
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.machine import Activity, GuestStats
from shared.contract.messages.vm import Check, Health, Vm
from shared.errors import BangerError, Code
from shared.host.kernel_text import process_fields, read_kernel_text
from shared.plain_text import printable

TICKS = os.sysconf("SC_CLK_TCK")
AGENT_SECONDS = 3.0
"""What the agent may take to answer."""
WORD_LENGTH = 32
"""Characters kept of what systemctl prints, and of a mount point that df prints."""
PERCENT = re.compile("[0-9]{1,3}%")


_MAPPING = re.compile(
    r"^Size: +(\d+) kB\nKernelPageSize:.*\nMMUPageSize:.*\nRss: +(\d+) kB\n"
    r"(?:(?:Pss|Shared)\w*:.*\n)*Private_Clean: +(\d+) kB\nPrivate_Dirty: +(\d+) kB",
    re.MULTILINE,
)
"""One mapping of /proc/<pid>/smaps (proc_pid_smaps(5))."""


class GuestMemory(NamedTuple):
    """Bytes of a guest's memory that the host has given it, and those of them that no other process
    maps: copies share what neither has written."""

    resident: int
    unique: int


def guest_memory(pid: int, memory_mib: int) -> GuestMemory | None:
    """What is resident of the VMM's mapping that has the size of the guest's memory. None where
    that cannot be read, as in a jail."""
    try:
        mappings = _MAPPING.findall(read_kernel_text(f"/proc/{pid}/smaps"))
    except OSError:
        return None
    found = [
        GuestMemory(int(rss) << 10, (int(clean) + int(dirty)) << 10)
        for size, rss, clean, dirty in mappings
        if int(size) == memory_mib << 10
    ]
    return max(found, default=None)


async def stats(vm: Vm, running: RunningVm, agent: Agent | None, deadline: float) -> GuestStats:
    """CPU and memory of the VMM from proc_pid_stat(5), traffic from the guest's own counters.

    ``agent``: None for a guest that cannot answer now, such as a paused one.

    Raises:
        BangerError: ``not_running`` when the VMM has ended.
    """
    pid = running.handle.pid
    try:
        fields, at = process_fields(pid), time.monotonic()
        pages = int(read_kernel_text(f"/proc/{pid}/statm").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        raise BangerError(Code.NOT_RUNNING, f"process {pid} is gone") from None
    booted = float(read_kernel_text("/proc/uptime").split()[0])
    received, sent = await _traffic(agent, deadline)
    # The kernel walks the page tables of the VMM for it.
    memory = await asyncio.to_thread(guest_memory, pid, vm.memory_mib)
    return GuestStats(
        at=at,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        guest_memory_bytes=memory.resident if memory else None,
        unique_memory_bytes=memory.unique if memory else None,
        uptime=booted - int(fields[19]) / TICKS,
        received_bytes=received,
        sent_bytes=sent,
    )


async def activity(
    vm: Vm, running: RunningVm, agent: Agent, deadline: float, *, for_nothing: bool
) -> Activity:
    """Whether anybody uses the VM. What the guest cannot be asked is said to be so.

    Raises:
        BangerError: ``not_running`` when the VMM has ended.
    """
    pid = running.handle.pid
    try:
        fields, at = process_fields(pid), time.monotonic()
    except (FileNotFoundError, ProcessLookupError):
        raise BangerError(Code.NOT_RUNNING, f"process {pid} is gone") from None
    found = Activity(
        at=at,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        connections=await asyncio.to_thread(connections_to, vm, running.handle),
        for_nothing=for_nothing,
    )
    limit = min(deadline, time.monotonic() + AGENT_SECONDS)
    try:
        found.traffic = sum(await agent.traffic(limit))
        found.inhibitor = await inhibitor(agent, limit)
    except BangerError:
        found.mute = True
    return found


async def _traffic(agent: Agent | None, deadline: float) -> tuple[int | None, int | None]:
    if agent is None:
        return None, None
    try:
        return await agent.traffic(min(deadline, time.monotonic() + AGENT_SECONDS))
    except BangerError:
        return None, None  # a paused or busy guest; the figures of its VMM are right all the same


async def health(
    vm: Vm, running: RunningVm, agent: Agent | None, deadline: float, *, paused: bool = False
) -> Health:
    """Checks of VMM, agent, ssh, the guest's own init and its disks, each made now. A paused guest
    is asked nothing."""
    checks = [Check(name="vmm", ok=running.handle.alive, detail=f"pid {running.handle.pid}")]
    checks.append(await _timed("ssh", _ssh(running)))
    if agent is None or paused:
        detail = "the VM is paused" if paused else "it has not answered yet"
        checks.append(Check(name="agent", ok=False, detail=detail))
    else:
        limit = min(deadline - 0.5, time.monotonic() + AGENT_SECONDS)
        checks.append(await _timed("agent", _ping(agent, limit)))
        if checks[-1].ok:
            checks.append(await _timed("system", _system(agent, limit)))
            checks.append(await _timed("disks", _disks(agent, limit)))
    checks.extend(_forwards(running))
    healthy = all(check.ok for check in checks)
    return Health(id=vm.id, name=vm.name, healthy=healthy, checks=checks)


def _forwards(running: RunningVm) -> Iterator[Check]:
    """A line when there is something to say of them."""
    network, beyond = running.machine.user_network, running.unforwarded
    if beyond:
        detail = f"{beyond} ports beyond the {MOST_FORWARDS} per protocol that are forwarded"
        yield Check(name="forwards", ok=False, detail=detail)
    elif network and network.obstacle:
        yield Check(name="forwards", ok=True, detail=network.obstacle)


async def _timed(name: str, question: Awaitable[tuple[bool, str]]) -> Check:
    started = time.monotonic()
    try:
        ok, detail = await question
    except BangerError as error:
        ok, detail = False, error.message
    took = round((time.monotonic() - started) * 1000, 1)
    return Check(name=name, ok=ok, detail=detail, milliseconds=took)


async def _ssh(running: RunningVm) -> tuple[bool, str]:
    pid = await master_pid(running.access)
    return (True, f"shared connection, pid {pid}") if pid else (False, "no shared connection")


async def _ping(agent: Agent, limit: float) -> tuple[bool, str]:
    await agent.ping(limit)
    return True, "answers"


async def _system(agent: Agent, limit: float) -> tuple[bool, str]:
    """The state that systemd reports ("offline": it has not started yet), if the guest has
    systemd."""
    script = "command -v systemctl >/dev/null && systemctl is-system-running || true"
    answer = await agent.execute([SHELL, "-c", script], limit)
    said = answer.stdout.decode(errors="replace").strip()
    state = printable(said, WORD_LENGTH) or "no systemd"
    return state in ("running", "starting", "initializing", "offline", "no systemd"), state


async def _disks(agent: Agent, limit: float) -> tuple[bool, str]:
    answer = await agent.execute([SHELL, "-c", "df -P / /root"], limit)
    rows = [line.split() for line in answer.stdout.decode(errors="replace").splitlines()[1:3]]
    used = {row[5]: int(row[4][:-1]) for row in rows if len(row) >= 6 and PERCENT.fullmatch(row[4])}
    shown = [f"{printable(mount, WORD_LENGTH)} {percent}% used" for mount, percent in used.items()]
    detail = ", ".join(shown)
    return all(percent < 95 for percent in used.values()), detail
