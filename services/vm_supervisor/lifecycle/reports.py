"""Reports about a running VM: what it uses, the ports it listens on, and its health."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Iterator

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import Listeners
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.guest.ssh import master_pid
from services.vm_supervisor.ports.forwards import MOST_FORWARDS, OUTSIDE
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.machine import GuestStats
from shared.contract.messages.vm import Check, Health, Port, PortList, Publication, Vm
from shared.errors import BangerError, Code
from shared.host.kernel_text import process_fields, read_kernel_text
from shared.plain_text import printable

TICKS = os.sysconf("SC_CLK_TCK")
AGENT_SECONDS = 3.0
"""What the agent may take to answer."""
HTTP_SECONDS = 1.0
"""What a port may take to answer a request by HTTP."""
WORD_LENGTH = 32
"""Characters kept of what systemctl prints, and of a mount point that df prints."""
PERCENT = re.compile("[0-9]{1,3}%")


async def stats(running: RunningVm, agent: Agent | None, deadline: float) -> GuestStats:
    """CPU and memory of the VMM from proc_pid_stat(5), traffic from the guest's own counters.

    Raises:
        BangerError: ``not_running`` when the VMM has ended.
    """
    pid = running.handle.pid
    try:
        fields = process_fields(pid)
        pages = int(read_kernel_text(f"/proc/{pid}/statm").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        raise BangerError(Code.NOT_RUNNING, f"process {pid} is gone") from None
    booted = float(read_kernel_text("/proc/uptime").split()[0])
    received, sent = await _traffic(agent, deadline)
    return GuestStats(
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        uptime=booted - int(fields[19]) / TICKS,
        received_bytes=received,
        sent_bytes=sent,
    )


async def _traffic(agent: Agent | None, deadline: float) -> tuple[int | None, int | None]:
    if agent is None:
        return None, None
    try:
        return await agent.traffic(min(deadline, time.monotonic() + AGENT_SECONDS))
    except BangerError:
        return None, None  # a paused or busy guest; the figures of its VMM are right all the same


async def ports(vm: Vm, running: RunningVm, agent: Agent, deadline: float) -> PortList:
    """Every listening socket of the guest, where the host reaches it, and whether HTTP answers."""
    listening = await Listeners(agent, "tcp", "udp").ports(deadline)
    found = [
        *(_port(vm, running, port) for port in listening),
        *(_published(vm, publication, listening) for publication in vm.publish),
    ]
    return PortList(id=vm.id, name=vm.name, ports=list(await asyncio.gather(*found)))


async def _published(vm: Vm, publication: Publication, listening: list[ListeningPort]) -> Port:
    """A published port of the host, whether or not something listens in the guest."""
    wanted = (publication.protocol, publication.guest_port)
    port = Port(
        protocol=publication.protocol,
        guest_address=", ".join(p.address for p in listening if (p.protocol, p.port) == wanted),
        guest_port=publication.guest_port,
        host_address=publication.host_address,
        host_port=publication.host_port,
        published=True,
    )
    if port.guest_address and port.protocol == "tcp":
        host = "127.0.0.1" if port.host_address == "0.0.0.0" else port.host_address
        port.url = await _url(vm, host, publication.host_port, shown=host)
    return port


async def _port(vm: Vm, running: RunningVm, listening: ListeningPort) -> Port:
    port = Port(
        protocol=listening.protocol,
        guest_address=listening.address,
        guest_port=listening.port,
    )
    reachable = listening.address in OUTSIDE or listening.address == vm.address
    if vm.network == "bridge" and reachable:
        port.host_address, port.host_port = vm.address, listening.port
    elif reachable:
        known = running.handle.ports | {"tcp/22": running.handle.access.port}
        port.host_port = known.get(f"{listening.protocol}/{listening.port}")
        port.host_address = vm.address if port.host_port else ""
    if port.host_port and listening.protocol == "tcp" and listening.port != 22:
        port.url = await _url(vm, port.host_address, port.host_port, shown=f"{vm.name}.vm")
    return port


async def _url(vm: Vm, host: str, port: int, *, shown: str) -> str:
    """The address to open in a browser, or "" when HTTP is not spoken there."""
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                writer.write(f"HEAD / HTTP/1.0\r\nHost: {vm.name}.vm\r\n\r\n".encode())
                answer = await reader.read(5)
    except (OSError, TimeoutError):
        return ""
    return f"http://{shown}:{port}/" if answer == b"HTTP/" else ""


async def health(vm: Vm, running: RunningVm, agent: Agent | None, deadline: float) -> Health:
    """Checks of VMM, agent, ssh, the guest's own init and its disks, each made now."""
    checks = [Check(name="vmm", ok=running.handle.alive, detail=f"pid {running.handle.pid}")]
    checks.append(await _timed("ssh", _ssh(running)))
    if agent is None:
        checks.append(Check(name="agent", ok=False, detail="it has not answered yet"))
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
    answer = await agent.execute(["/bin/sh", "-c", script], limit)
    said = answer.stdout.decode(errors="replace").strip()
    state = printable(said, WORD_LENGTH) or "no systemd"
    return state in ("running", "starting", "initializing", "offline", "no systemd"), state


async def _disks(agent: Agent, limit: float) -> tuple[bool, str]:
    answer = await agent.execute(["/bin/sh", "-c", "df -P / /root"], limit)
    rows = [line.split() for line in answer.stdout.decode(errors="replace").splitlines()[1:3]]
    used = {row[5]: int(row[4][:-1]) for row in rows if len(row) >= 6 and PERCENT.fullmatch(row[4])}
    shown = [f"{printable(mount, WORD_LENGTH)} {percent}% used" for mount, percent in used.items()]
    detail = ", ".join(shown)
    return all(percent < 95 for percent in used.values()), detail
