"""Which listening ports of a guest are to appear on the host, and under which numbers."""

import asyncio
import resource
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports import forwards
from services.vm_supervisor.ports.forwards import MAPPED_UP, MOST_FORWARDS, Forwards, wanted
from shared.errors import BangerError, Code
from shared.logs import Log
from tests.loopback import OWN_ADDRESS

HOST = OWN_ADDRESS
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 1"


def test_what_accepts_from_outside_appears() -> None:
    listening = [ListeningPort("tcp", 80, "0.0.0.0"), ListeningPort("tcp", 3000, "::")]
    assert wanted(listening) == {"tcp/80": 80, "tcp/3000": 3000}


def test_ssh_has_its_own_way_and_the_guests_loopback_stays_inside() -> None:
    listening = [ListeningPort("tcp", 22, "0.0.0.0"), ListeningPort("tcp", 631, "127.0.0.1")]
    assert wanted(listening) == {}


def test_udp_appears_too() -> None:
    listening = [ListeningPort("udp", 53, "0.0.0.0"), ListeningPort("udp", 5353, "::")]
    assert wanted(listening) == {"udp/53": 53, "udp/5353": 5353}


@pytest.mark.parametrize("port", [68, 546, 32768, 60999])
def test_what_may_be_a_udp_client_does_not(port: int) -> None:
    assert wanted([ListeningPort("udp", port, "0.0.0.0")]) == {}
    assert wanted([ListeningPort("tcp", port, "0.0.0.0")]) == {f"tcp/{port}": port}


class ScriptedAgent:
    """Each look finds the next set of ports; when there is none left, the guest is gone."""

    def __init__(self, *looks: set[tuple[str, int]]) -> None:
        self._looks: Iterator[set[tuple[str, int]]] = iter(looks)
        self._paths: list[str] = []
        self._now: set[tuple[str, int]] = set()

    async def open_file(self, path: str, _deadline: float) -> int:
        self._paths.append(path)
        return len(self._paths) - 1

    async def read_again(self, handle: int, _deadline: float) -> bytes:
        path = self._paths[handle]
        if path == "/proc/net/tcp":  # the first of a look
            try:
                self._now = next(self._looks)
            except StopIteration:
                raise BangerError(Code.NOT_RUNNING, "gone") from None
        kind, state = ("tcp", "0A") if path == "/proc/net/tcp" else ("udp", "07")
        found = [port for protocol, port in self._now if protocol == kind and path[-1] != "6"]
        rows = (f" 0: 00000000:{p:04X} 00000000:0000 {state} {REST}\n" for p in found)
        return (HEADER + "".join(rows)).encode()


class Network:
    """Notes what it is asked; ``refuse`` are guest ports that cannot be forwarded."""

    obstacle = ""

    def __init__(self, *refuse: int) -> None:
        self.done: list[tuple[str, Forward]] = []
        self._refuse = refuse

    async def add_forward(self, forward: Forward, bound: socket.socket | None = None) -> None:
        if forward.guest_port in self._refuse:
            raise BangerError(Code.CONFLICT, "taken this moment")
        self.done.append(("add", forward))

    async def remove_forward(self, forward: Forward) -> None:
        self.done.append(("remove", forward))

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look follows the other."""
    monkeypatch.setattr(forwards, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(forwards, "PAUSE", 0.0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", "vm:0123456789ab")


def follow(
    network: Network, agent: ScriptedAgent, log: Log, known: dict[str, int] | None = None
) -> list[dict[str, int]]:
    """What was told of the ports, until the guest was gone."""
    return [ports for ports, _ in told_of(network, agent, log, known)]


def told_of(
    network: Network, agent: ScriptedAgent, log: Log, known: dict[str, int] | None = None
) -> list[tuple[dict[str, int], int]]:
    """With the number of ports beyond the limit."""
    told: list[tuple[dict[str, int], int]] = []

    def changed(ports: dict[str, int], beyond: int) -> None:
        told.append((ports, beyond))

    following = Forwards(network, cast(Agent, agent), HOST, known or {}, log, changed)
    asyncio.run(asyncio.wait_for(following.follow(), 20))
    return told


def test_ports_come_and_go_with_the_guests(log: Log) -> None:
    network = Network()
    told = follow(network, ScriptedAgent({("tcp", 23001), ("udp", 23002)}, set()), log)
    assert told == [{"tcp/23001": 23001, "udp/23002": 23002}, {}]
    assert [(what, f.protocol, f.port, f.guest_port) for what, f in network.done] == [
        ("add", "tcp", 23001, 23001),
        ("add", "udp", 23002, 23002),
        ("remove", "tcp", 23001, 23001),
        ("remove", "udp", 23002, 23002),
    ]


def test_a_number_that_cannot_be_had_is_mapped_up_and_told(log: Log, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 23001))
        holder.listen()
        told = follow(Network(), ScriptedAgent({("tcp", 23001)}), log)
    assert told == [{"tcp/23001": 23001 + MAPPED_UP}]
    assert "a port has another number here" in (tmp_path / "log").read_text()


def test_one_that_is_refused_is_told_once_and_keeps_none_of_the_others(
    log: Log, tmp_path: Path
) -> None:
    ports = {("tcp", 23001), ("tcp", 23002)}
    told = follow(Network(23001), ScriptedAgent(ports, ports), log)
    assert told == [{"tcp/23002": 23002}]
    assert (tmp_path / "log").read_text().count("has no forward") == 1


def test_a_successor_makes_again_what_qemu_does_not_hold(log: Log) -> None:
    network = Network()
    known = {"tcp/23001": 31001, "udp/23002": 31002}
    told = follow(network, ScriptedAgent({("tcp", 23001), ("udp", 23002)}), log, known)
    assert network.done == [("add", Forward("udp", HOST, 31002, 23002))]
    assert told == [known]


def test_ports_beyond_the_limit_are_counted_and_told_once(log: Log, tmp_path: Path) -> None:
    many = {("udp", 20000 + number) for number in range(MOST_FORWARDS + 2)}
    more = many | {("udp", 21000), ("tcp", 23001)}
    network = Network()
    (first, beyond), (second, later) = told_of(network, ScriptedAgent(many, more), log)
    assert (len(first), beyond) == (MOST_FORWARDS, 2)
    assert second == first | {"tcp/23001": 23001}
    assert later == 3
    assert (tmp_path / "log").read_text().count("more ports than are forwarded") == 1


def test_forwards_that_are_there_stay_when_the_guest_opens_lower_ports(log: Log) -> None:
    high = {("udp", 21000 + number) for number in range(MOST_FORWARDS)}
    low = {("udp", 20000 + number) for number in range(MOST_FORWARDS)}
    network = Network()
    follow(network, ScriptedAgent(high, high | low), log)
    assert [what for what, _ in network.done] == ["add"] * MOST_FORWARDS


def test_supervisor_without_a_free_descriptor_forwards_nothing_and_goes_on(
    log: Log, tmp_path: Path
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))

    class Exhausted(ScriptedAgent):
        async def open_file(self, path: str, deadline: float) -> int:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, hard))
            return await super().open_file(path, deadline)

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert follow(Network(), Exhausted({("tcp", 23001)}), log) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "Too many open files" in (tmp_path / "log").read_text()


def test_udp_forwards_of_a_guest_that_was_asleep_are_there_already(log: Log) -> None:
    known = {"udp/23002": 23002}
    told: list[dict[str, int]] = []
    network, agent = Network(), ScriptedAgent({("udp", 23002)})
    following = Forwards(
        network,
        cast(Agent, agent),
        HOST,
        known,
        log,
        lambda ports, _: told.append(ports),
        relays_udp=True,
    )
    asyncio.run(asyncio.wait_for(following.follow(), 20))
    assert (network.done, told) == ([], [])
