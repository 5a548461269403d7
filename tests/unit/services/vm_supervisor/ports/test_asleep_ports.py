"""Which ports are held for a VM that is asleep, and what its handle says of them afterwards."""

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports.asleep_ports import AsleepPorts
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Publication
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.vm.asleep import Asleep
from shared.vmm.qemu.info import Qemu
from tests.example import example_vm
from tests.unit.services.vm_supervisor.ports.clients import (
    HOST,
    ForwardingNetwork,
    exchange,
    free_port,
    network,
    play,
)
from tests.unit.shared.vm.test_handle import own_handle


class Vmm:
    def __init__(self, there: ForwardingNetwork) -> None:
        self.user_network = there


def published(guest_port: int = 80) -> Publication:
    return Publication(host_address=HOST, host_port=free_port(), guest_port=guest_port)


def asleep(**ports: int) -> Asleep:
    access = Access(host=HOST, port=free_port(), key="k", known_hosts="h", alias="a", control="c")
    named = {key.replace("_", "/"): port for key, port in ports.items()}
    return Asleep(reason="nobody used it", access=access, ports=named)


def running(there: ForwardingNetwork) -> RunningVm:
    return RunningVm(cast(Machine, Vmm(there)), own_handle(), Qemu())


def held(
    tmp_path: Path, sleep: Asleep, woken: asyncio.Event, **changes: Any
) -> tuple[AsleepPorts, PublishedPorts]:
    vm = example_vm(address=HOST, **changes)
    log = Log(tmp_path / "log", "vm:0123456789ab")
    ports = AsleepPorts(vm, sleep, log, woken.set)
    ports.listen()
    return ports, PublishedPorts(vm.network, tmp_path, log)


def test_all_that_led_to_a_user_mode_guest_is_held_and_handed_over(tmp_path: Path) -> None:
    async def act() -> None:
        woken, port = asyncio.Event(), published()
        sleep = asleep(tcp_8000=free_port(), udp_53=free_port(socket.SOCK_DGRAM))
        ports, vm_ports = held(tmp_path, sleep, woken, publish=[port])
        async with network() as there:
            assert ports.ssh_port == sleep.access.port
            client = asyncio.create_task(exchange(port.host_port, b"hello"))
            await woken.wait()
            vm = running(there)
            await ports.hand_over(vm, vm_ports)
            tcp = [(forward.port, forward.guest_port) for forward in there.made]
            assert tcp == [
                (sleep.access.port, 22),
                (sleep.ports["tcp/8000"], 8000),
                (port.host_port, 80),
            ]
            await ports.relay(vm)
            assert await client == b"hello"
            assert (vm.handle.ports, vm.handle.publish) == (sleep.ports, [port])
            assert vm.relays_udp
            assert not ports.woken_for_nothing
        ports.close()

    play(act())


def test_a_port_for_ssh_that_another_program_has_is_not_held(tmp_path: Path) -> None:
    async def act() -> None:
        sleep = asleep()
        with socket.create_server((HOST, sleep.access.port)):
            ports, _ = held(tmp_path, sleep, asyncio.Event())
            assert ports.ssh_port is None
            ports.close()

    play(act())


def test_ports_that_are_published_while_it_sleeps_wake_it_too(tmp_path: Path) -> None:
    async def act() -> None:
        woken, before, after = asyncio.Event(), published(), published(81)
        ports, vm_ports = held(tmp_path, asleep(), woken, publish=[before])
        with socket.create_server((HOST, 0)) as other:
            taken = Publication(host_address=HOST, host_port=other.getsockname()[1], guest_port=1)
            with pytest.raises(BangerError) as refused:
                ports.change(example_vm(address=HOST, publish=[before, taken]))
            assert refused.value.code is Code.CONFLICT
        ports.change(example_vm(address=HOST, publish=[after]))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, before.host_port)
        async with network() as there:
            client = asyncio.create_task(exchange(after.host_port, b"hello"))
            await woken.wait()
            vm = running(there)
            await ports.hand_over(vm, vm_ports)
            await ports.relay(vm)
            assert await client == b"hello"
            assert vm.handle.publish == [after]
        ports.close()

    play(act())


def test_in_bridge_mode_published_tcp_ports_are_held(tmp_path: Path) -> None:
    async def act() -> None:
        woken, sleep = asyncio.Event(), asleep(tcp_8000=free_port())
        async with network() as guest:
            server = published()
            await guest.add_forward(
                _forward(server.host_port)
            )  # the guest's own address is this process's
            port = published(server.host_port)
            changes: dict[str, Any] = {"network": "bridge", "publish": [port]}
            ports, vm_ports = held(tmp_path, sleep, woken, **changes)
            assert ports.ssh_port is None
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, sleep.ports["tcp/8000"])
            client = asyncio.create_task(exchange(port.host_port, b"hello"))
            await woken.wait()
            vm = running(guest)
            await ports.hand_over(vm, vm_ports)
            await ports.relay(vm)
            assert await client == b"hello"
            assert (vm.handle.ports, vm.handle.publish) == ({}, [])
            with pytest.raises(OSError, match="in use"):
                socket.create_server((HOST, port.host_port))
            vm_ports.release()
            ports.close()

    play(act())


def _forward(port: int) -> Forward:
    return Forward("tcp", HOST, port, 80)
