"""QEMU's network while it runs: what is asked of the scripted monitor, and what it then has."""

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from services.vm_supervisor.drivers.qemu.hubs import CLOSED, FILTER_PORT, OPEN, WIRE, WIRE_PORT
from services.vm_supervisor.drivers.qemu.network import QemuUserNetwork, forward_rule
from services.vm_supervisor.network.backlog import ListenBacklog
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.network.outside_filter import filter_id
from services.vm_supervisor.network.udp_relay import UdpRelay
from shared.errors import BangerError, Code
from tests.loopback import OWN_ADDRESS
from tests.scripted.migration import Migration
from tests.scripted.monitor import Monitor
from tests.unit.shared.vm.test_handle import own_handle

WEB = Forward("tcp", OWN_ADDRESS, 8080, 80)
CLOSED_IDS, OPEN_IDS = {CLOSED.network, CLOSED.port}, {OPEN.network, OPEN.port}
FILTER = filter_id(())
FIRST_IDS = {"net0", "nic0", "port0", FILTER, FILTER_PORT}
WIRE_IDS = {WIRE, WIRE_PORT}


class UntouchedGuest:
    """Nobody saves it."""

    def remember(self) -> dict[str, Any]:
        raise AssertionError("never")

    def become(self, memory: dict[str, Any]) -> None:
        raise AssertionError("never")


@dataclass
class Vmm:
    """A QEMU that began with NAT off; see ``monitor.Machine``."""

    run: Path
    paused: bool = False
    networks: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {name: {"type": "hubport"} for name in FIRST_IDS | CLOSED_IDS}
    )
    forwards: list[str] = field(default_factory=list)
    complaint: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Commands that changed the networks, each with the id."""
    hub_0_was_without_an_end: bool = False

    def __post_init__(self) -> None:
        self.migration = Migration(UntouchedGuest(), {}, incoming=False)
        self._monitor = Monitor(self)
        self.relay = UdpRelay(self.run, "02:03:04:05:06:07")
        backlog = ListenBacklog(own_handle().process)
        self.network = QemuUserNetwork(self.execute, self.relay, backlog)

    async def execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
        request = json.dumps({"execute": command, "arguments": arguments or {}}).encode()
        answer = json.loads(self._monitor.receive(request))
        if command.startswith("netdev_"):
            self.asked.append((command, str((arguments or {})["id"])))
        self.hub_0_was_without_an_end |= not {OPEN.port, CLOSED.port} & self.networks.keys()
        if "error" in answer:
            raise BangerError(Code.INTERNAL, answer["error"]["desc"])
        return answer["return"]

    def add_forward(self, rule: str) -> str:
        if not self.complaint:
            self.forwards.append(rule)
        return self.complaint

    def remove_forward(self, source: str) -> str:
        self.forwards = [rule for rule in self.forwards if not rule.startswith(f"{source}-")]
        return f"host forwarding rule for {source} removed\r\n"

    def end(self, reason: str) -> None:
        raise AssertionError(f"nobody ends it: {reason}")

    def press_power_button(self) -> None:
        raise AssertionError("nobody presses it")

    def on_control(self) -> None:
        raise AssertionError("the connection is made already")


def with_vmm(test: Callable[[Vmm], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """The coroutine as a test, in a loop of its own."""

    def play(run: Path) -> None:
        async def scenario() -> None:
            vmm = Vmm(run)
            try:
                await test(vmm)
            finally:
                vmm.network.close()

        asyncio.run(scenario())

    return play


@pytest.fixture
def run() -> Iterator[Path]:
    with TemporaryDirectory(prefix="bgr") as directory:
        yield Path(directory)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((OWN_ADDRESS, 0))
        return int(probe.getsockname()[1])


def resolver() -> Forward:
    return Forward("udp", OWN_ADDRESS, free_udp_port(), 53)


def can_be_bound(forward: Forward) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((forward.host, forward.port))
        except OSError:
            return False
        return True


def test_rule_has_qemus_form() -> None:
    assert forward_rule(Forward("tcp", "127.77.0.2", 8080, 80)) == "tcp:127.77.0.2:8080-:80"


@with_vmm
async def test_tcp_port_is_forwarded_by_qemu_until_it_is_removed(vmm: Vmm) -> None:
    await vmm.network.add_forward(WEB)
    assert vmm.forwards == [f"tcp:{OWN_ADDRESS}:8080-:80"]
    await vmm.network.remove_forward(WEB)
    assert vmm.forwards == []


@with_vmm
async def test_tcp_port_that_qemu_cannot_have_is_a_conflict_with_its_words(vmm: Vmm) -> None:
    vmm.complaint = "Could not set up host forwarding rule 'x'\r\n"
    with pytest.raises(BangerError, match="port 8080 cannot be forwarded: Could not") as caught:
        await vmm.network.add_forward(WEB)
    assert caught.value.code is Code.CONFLICT
    assert not caught.value.message.endswith("\n")


@with_vmm
async def test_way_out_opens_and_closes_and_the_hub_always_has_an_end(vmm: Vmm) -> None:
    await vmm.network.set_uplink(on=True)
    assert vmm.networks.keys() == FIRST_IDS | OPEN_IDS
    await vmm.network.set_uplink(on=False)
    assert vmm.networks.keys() == FIRST_IDS | CLOSED_IDS
    assert not vmm.hub_0_was_without_an_end


@pytest.mark.parametrize("on", [True, False])
def test_way_out_that_is_as_wanted_is_left_alone(run: Path, on: bool) -> None:
    async def scenario() -> None:
        vmm = Vmm(run)
        await vmm.network.set_uplink(on=on)
        vmm.asked.clear()
        await vmm.network.set_uplink(on=on)
        assert vmm.asked == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "present",
    [
        CLOSED_IDS | {OPEN.network},
        CLOSED_IDS | OPEN_IDS,
        OPEN_IDS | {CLOSED.network},
    ],
    ids=["new network made", "new end made", "old port removed"],
)
def test_change_that_a_killed_supervisor_had_begun_is_completed(
    run: Path, present: set[str]
) -> None:
    async def scenario() -> None:
        vmm = Vmm(run, networks={name: {"type": "hubport"} for name in FIRST_IDS | present})
        await vmm.network.set_uplink(on=True)
        assert vmm.networks.keys() == FIRST_IDS | OPEN_IDS
        assert not vmm.hub_0_was_without_an_end

    asyncio.run(scenario())


@with_vmm
async def test_rest_of_an_end_that_a_killed_supervisor_left_is_used_again(vmm: Vmm) -> None:
    vmm.networks[OPEN.network] = {"type": "user"}
    await vmm.network.set_uplink(on=False)
    assert vmm.networks.keys() == FIRST_IDS | CLOSED_IDS
    await vmm.network.set_uplink(on=True)
    assert vmm.networks.keys() == FIRST_IDS | OPEN_IDS


@with_vmm
async def test_way_out_of_a_vmm_with_another_filter_stays_closed(vmm: Vmm) -> None:
    with pytest.raises(BangerError, match="other local networks") as caught:
        await vmm.network.set_uplink(on=True, literal=["192.168.1.0/24"])
    assert caught.value.code is Code.CONFLICT
    assert vmm.networks.keys() == FIRST_IDS | CLOSED_IDS
    await vmm.network.set_uplink(on=False, literal=["192.168.1.0/24"])


@with_vmm
async def test_values_reach_qmp_with_the_types_that_its_schema_has(vmm: Vmm) -> None:
    await vmm.network.set_uplink(on=True)
    await vmm.network.set_uplink(on=False)
    assert vmm.networks[CLOSED.network] == {
        "type": "user",
        "id": CLOSED.network,
        "net": "10.0.3.0/24",
        "ipv6": False,
        "restrict": True,
    }
    port = {"type": "hubport", "id": CLOSED.port, "hubid": 0, "netdev": CLOSED.network}
    assert vmm.networks[CLOSED.port] == port


@with_vmm
async def test_first_udp_port_connects_the_relay_to_the_hub_of_the_first_device(vmm: Vmm) -> None:
    forward = resolver()
    await vmm.network.add_forward(forward)
    assert vmm.networks[WIRE] == {
        "type": "dgram",
        "id": WIRE,
        "local": {"type": "unix", "path": str(vmm.relay.vmm_end)},
        "remote": {"type": "unix", "path": str(vmm.relay.own_end)},
    }
    wire_port = {"type": "hubport", "id": WIRE_PORT, "hubid": 1, "netdev": WIRE}
    assert vmm.networks[WIRE_PORT] == wire_port
    assert vmm.relay.own_end.is_socket()
    assert not can_be_bound(forward)
    assert vmm.forwards == []


@with_vmm
async def test_wire_is_there_as_long_as_there_is_a_udp_port(vmm: Vmm) -> None:
    first = resolver()
    await vmm.network.add_forward(first)
    second = resolver()
    await vmm.network.add_forward(second)
    await vmm.network.remove_forward(first)
    assert vmm.networks.keys() >= WIRE_IDS
    await vmm.network.remove_forward(second)
    assert not WIRE_IDS & vmm.networks.keys()
    assert not vmm.relay.own_end.exists()
    assert vmm.asked == [
        ("netdev_add", WIRE),
        ("netdev_add", WIRE_PORT),
        ("netdev_del", WIRE_PORT),
        ("netdev_del", WIRE),
    ]


@with_vmm
async def test_udp_ports_that_are_added_at_once_share_one_wire(vmm: Vmm) -> None:
    first = resolver()
    second = Forward("udp", OWN_ADDRESS, free_udp_port(), 123)
    await asyncio.gather(vmm.network.add_forward(first), vmm.network.add_forward(second))
    assert vmm.asked == [("netdev_add", WIRE), ("netdev_add", WIRE_PORT)]


@with_vmm
async def test_wire_that_an_earlier_supervisor_made_is_used_again(vmm: Vmm) -> None:
    vmm.networks |= {name: {"type": "hubport"} for name in WIRE_IDS}
    await vmm.network.add_forward(resolver())
    assert vmm.asked == []
    assert vmm.relay.own_end.is_socket()


@with_vmm
async def test_wire_without_its_port_is_completed(vmm: Vmm) -> None:
    vmm.networks[WIRE] = {"type": "dgram"}
    await vmm.network.add_forward(resolver())
    assert vmm.asked == [("netdev_add", WIRE_PORT)]


@with_vmm
async def test_vmm_of_an_older_banger_has_no_place_for_the_wire(vmm: Vmm) -> None:
    del vmm.networks["nic0"]
    forward = resolver()
    with pytest.raises(BangerError) as caught:
        await vmm.network.add_forward(forward)
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.hint == "restart the VM"
    assert can_be_bound(forward)


@with_vmm
async def test_udp_port_that_is_taken_is_a_conflict_and_leaves_no_wire(vmm: Vmm) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((OWN_ADDRESS, 0))
        forward = Forward("udp", OWN_ADDRESS, taken.getsockname()[1], 53)
        with pytest.raises(BangerError) as caught:
            await vmm.network.add_forward(forward)
    assert caught.value.code is Code.CONFLICT
    assert not WIRE_IDS & vmm.networks.keys()
    assert not vmm.relay.own_end.exists()


@with_vmm
async def test_closing_frees_the_ports_of_the_host_and_leaves_the_vmm_as_it_is(vmm: Vmm) -> None:
    forward = resolver()
    await vmm.network.add_forward(forward)
    vmm.network.close()
    assert can_be_bound(forward)
    assert vmm.networks.keys() >= WIRE_IDS
