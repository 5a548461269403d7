"""The report of ``banger vm ports``: what the guest listens on, where that is reached, and why not.

Every port that nothing on the host reaches has a reason that says what to do about it.
"""

import asyncio
import contextlib
import ipaddress
import time

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import Listeners
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.ports.forwards import (
    CLIENTS,
    DHCP_CLIENTS,
    MOST_FORWARDS,
    OUTSIDE,
)
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Port, PortList, Publication, Vm

HTTP_SECONDS = 1.0
"""What a port may take to answer a request by HTTP."""
PROBES_SECONDS = 3.0
"""What all of them may take; ports after that are listed without a URL."""
AT_ONCE = 16
"""Ports that are asked at the same time. Each takes a descriptor, and a guest has many ports."""
REFUSED_SECONDS = 0.3
"""How soon a guest that has nobody for a connection has reset it."""

ONLY_IPV6 = "accepts IPv6 only: let it listen on 0.0.0.0, or on :: without IPV6_V6ONLY"


class PortListing:
    """One report about one VM."""

    def __init__(self, vm: Vm, running: RunningVm, listening: list[ListeningPort]) -> None:
        self._vm = vm
        self._running = running
        self._listening = listening
        by_ipv4 = {*OUTSIDE, vm.address} - {"::"}
        self._by_ipv4 = {(p.protocol, p.port) for p in listening if p.address in by_ipv4}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._end = time.monotonic() + PROBES_SECONDS

    async def ports(self) -> list[Port]:
        """A line for each socket, and for each published port."""
        found = [
            *map(self._port, self._listening),
            *map(self._published, self._vm.publish),
        ]
        await asyncio.gather(*map(self._look, found))
        return found

    def _port(self, listening: ListeningPort) -> Port:
        port = Port(
            protocol=listening.protocol,
            guest_address=listening.address,
            guest_port=listening.port,
        )
        vm, known = self._vm, self._running.handle.ports
        reachable = listening.address in OUTSIDE or listening.address == vm.address
        if not reachable:
            port.reason = _bound_elsewhere(listening.address)
        elif vm.network == "bridge":
            port.host_address, port.host_port = vm.address, listening.port
        elif number := self._forward(listening):
            port.host_address, port.host_port = vm.address, number
        else:
            port.reason = _not_forwarded(listening, known)
        return port

    def _forward(self, listening: ListeningPort) -> int | None:
        known = self._running.handle.ports | {"tcp/22": self._running.handle.access.port}
        return known.get(f"{listening.protocol}/{listening.port}")

    def _published(self, publication: Publication) -> Port:
        """A published port of the host, whether or not something listens in the guest."""
        wanted = (publication.protocol, publication.guest_port)
        addresses = [p.address for p in self._listening if (p.protocol, p.port) == wanted]
        port = Port(
            protocol=publication.protocol,
            guest_address=", ".join(addresses),
            guest_port=publication.guest_port,
            host_address=publication.host_address,
            host_port=publication.host_port,
            published=True,
        )
        if addresses and not {*OUTSIDE, self._vm.address} & set(addresses):
            port.reason = _bound_elsewhere(addresses[0])
        return port

    async def _look(self, port: Port) -> None:
        """Connect to a TCP port: whether it speaks HTTP, and whether it accepts IPv4 at all."""
        if port.protocol != "tcp" or port.guest_port == 22 or not port.host_port:
            return
        if port.reason or not port.guest_address:
            return
        host = "127.0.0.1" if port.host_address == "0.0.0.0" else port.host_address
        maybe_ipv6_only = (port.protocol, port.guest_port) not in self._by_ipv4
        async with self._turn:
            if time.monotonic() >= self._end:
                return
            answer = await _answer(self._vm.name, host, port.host_port, wait=maybe_ipv6_only)
        if answer is None and maybe_ipv6_only:
            port.reason = ONLY_IPV6
            if not port.published:
                port.host_address, port.host_port = "", None
        elif answer == b"HTTP/":
            port.url = f"http://{host}:{port.host_port}/"


async def ports(vm: Vm, running: RunningVm, agent: Agent, deadline: float) -> PortList:
    """Every listening socket of the guest, where the host reaches it, and whether HTTP answers."""
    listening = await Listeners(agent, "tcp", "udp").ports(deadline)
    found = await PortListing(vm, running, listening).ports()
    return PortList(id=vm.id, name=vm.name, ports=found)


def _bound_elsewhere(address: str) -> str:
    if ipaddress.ip_address(address).is_loopback:
        who = "only the guest's own programs reach it"
    else:
        who = "only that network of the guest reaches it"
    return f"bound to {address}, so {who}: let it listen on 0.0.0.0"


def _not_forwarded(listening: ListeningPort, known: dict[str, int]) -> str:
    protocol, number = listening.protocol, listening.port
    if protocol == "udp" and number in DHCP_CLIENTS:
        return "the guest's DHCP client"
    if protocol == "udp" and number in CLIENTS:
        return "looks like a client's socket: publish it if it serves"
    if sum(key.startswith(f"{protocol}/") for key in known) >= MOST_FORWARDS:
        return f"{MOST_FORWARDS} {protocol} ports of the VM are forwarded: publish this one"
    return "not forwarded yet, or not possible: banger vm logs --supervisor says more"


async def _answer(name: str, host: str, port: int, *, wait: bool) -> bytes | None:
    """The first bytes of the answer to a request by HTTP. None when the connection is refused, or
    with ``wait`` ends before anything is said: a user-mode network accepts it first, and then finds
    nobody in the guest."""
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                if wait and await _ends_at_once(reader):
                    return None
                writer.write(f"HEAD / HTTP/1.0\r\nHost: {name}.vm\r\n\r\n".encode())
                return await reader.read(5)
    except ConnectionRefusedError:
        return None
    except (OSError, TimeoutError):
        return b""


async def _ends_at_once(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(REFUSED_SECONDS):
            return not await reader.read(1)
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
