"""What ``vm ports`` says of each port: where it is reached, or why it is not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.guest.sockets import ListeningPort
from services.vm_supervisor.ports import listing as under_test
from services.vm_supervisor.ports.forwards import MOST_FORWARDS
from services.vm_supervisor.ports.listing import ONLY_IPV6, PortListing, ports
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Port, PortList, Protocol, Publication
from tests.example import example_vm
from tests.loopback import address
from tests.scripted.agent import Agent as GuestAgent
from tests.unit.services.vm_supervisor.scripted_guest import running_vm
from tests.unit.services.vm_supervisor.serving import serving

SECONDS = 10.0
HOST = address(18)
HTTP = b"HTTP/1.0 200 OK\r\n\r\n"
NOBODY: tuple[str, ...] = ()
ANY = ("0.0.0.0",)


@asynccontextmanager
async def answering_with(words: bytes | None) -> AsyncIterator[int]:
    """A server of the host at ``HOST`` that answers with ``words``, None: hangs up; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if words is not None:
            await reader.readline()
            writer.write(words)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def listed(
    root: Path,
    *,
    words: bytes | None = HTTP,
    network: str = "user",
    forwarded: bool = True,
    published: bool = False,
    addresses: tuple[str, ...] = ANY,
) -> list[Port]:
    """The report on a guest that listens on 8080 of ``addresses``, with 80 for the number of the
    port where HOST answers with ``words``."""

    async def scenario() -> list[Port]:
        async with asyncio.timeout(SECONDS), answering_with(words) as port:
            running: RunningVm = running_vm(root)
            inside = port if network == "bridge" else 8080
            listening = [ListeningPort("tcp", inside, each) for each in addresses]
            running.handle.ports = {f"tcp/{inside}": port} if forwarded else {}
            publish = [Publication(host_address=HOST, host_port=port, guest_port=inside)]
            vm = example_vm(network=network, address=HOST, publish=publish if published else [])
            found = await PortListing(vm, running, listening).ports()
        for each in found:
            each.url = each.url.replace(f":{port}/", ":80/")
            each.host_port = 80 if each.host_port == port else each.host_port
            each.guest_port = 80 if each.guest_port == port else each.guest_port
        return found

    return asyncio.run(scenario())


def test_report_is_of_the_guests_own_tables(tmp_path: Path) -> None:
    guest = GuestAgent("a-boot-id", lambda: None)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(guest.receive(data))

    async def scenario() -> PortList:
        deadline = time.monotonic() + SECONDS
        async with asyncio.timeout(SECONDS), serving(tmp_path / "agent", serve):
            agent = await Agent.connect(AgentAddress(tmp_path / "agent"), deadline)
            vm = example_vm(address=HOST)
            report = await ports(vm, running_vm(tmp_path), agent, deadline)
            agent.close()
        assert (report.id, report.name) == (vm.id, vm.name)
        return report

    ssh = Port(
        protocol="tcp", guest_address="0.0.0.0", guest_port=22, host_address=HOST, host_port=22
    )
    assert asyncio.run(scenario()).ports == [ssh]


def test_port_that_is_forwarded_is_shown_with_its_address_to_open(tmp_path: Path) -> None:
    (web,) = listed(tmp_path)
    assert (web.guest_port, web.host_address, web.host_port) == (8080, HOST, 80)
    assert (web.url, web.reason) == (f"http://{HOST}:80/", "")


def test_port_that_has_no_forward_is_shown_with_where_to_look(tmp_path: Path) -> None:
    (web,) = listed(tmp_path, forwarded=False)
    assert (web.host_address, web.host_port, web.url) == ("", None, "")
    assert "logs --supervisor" in web.reason


def test_guest_on_the_bridge_is_reached_at_its_own_ports(tmp_path: Path) -> None:
    (web,) = listed(tmp_path, network="bridge", forwarded=False)
    assert (web.guest_port, web.host_address, web.host_port) == (80, HOST, 80)
    assert web.url == f"http://{HOST}:80/"


@pytest.mark.parametrize("network", ["user", "bridge"])
@pytest.mark.parametrize("inside", ["127.0.0.1", "127.0.0.53", "::1"])
def test_port_of_the_guests_loopback_is_told_with_the_fix(
    tmp_path: Path, network: str, inside: str
) -> None:
    (web,) = listed(tmp_path, network=network, addresses=(inside,))
    assert (web.host_address, web.host_port, web.url) == ("", None, "")
    assert web.reason == (
        f"bound to {inside}, so only the guest's own programs reach it: let it listen on 0.0.0.0"
    )


def test_port_of_another_network_of_the_guest_is_told(tmp_path: Path) -> None:
    (web,) = listed(tmp_path, addresses=("172.17.0.1",))
    assert web.reason.startswith("bound to 172.17.0.1, so only that network of the guest")


def test_published_port_of_the_guests_loopback_is_told_too(tmp_path: Path) -> None:
    _, published = listed(tmp_path, addresses=("127.0.0.1",), published=True)
    assert published.host_port == 80
    assert published.reason.startswith("bound to 127.0.0.1")


def test_listener_of_ipv6_alone_is_told_by_what_happens_to_a_connection(tmp_path: Path) -> None:
    """The table of the guest's kernel does not say whether a socket on :: takes IPv4."""
    web, published = listed(tmp_path, words=None, addresses=("::",), published=True)
    assert (web.host_port, web.reason) == (None, ONLY_IPV6)
    assert (published.host_port, published.reason) == (80, ONLY_IPV6)


def test_listener_of_both_is_like_any_other(tmp_path: Path) -> None:
    (web,) = listed(tmp_path, addresses=("::",))
    assert (web.url, web.reason) == (f"http://{HOST}:80/", "")


def test_server_that_hangs_up_on_ipv4_has_not_said_anything_of_ipv6(tmp_path: Path) -> None:
    both = listed(tmp_path, words=None, addresses=("0.0.0.0", "::"))
    assert [each.reason for each in both] == ["", ""]


def test_port_that_does_not_speak_http_has_nothing_to_open(tmp_path: Path) -> None:
    (web,) = listed(tmp_path, words=b"220 mail\r\n")
    assert (web.host_port, web.url) == (80, "")


def test_port_that_says_nothing_holds_the_report_up_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "HTTP_SECONDS", 0.05)
    (web,) = listed(tmp_path, words=b"")
    assert (web.host_port, web.url) == (80, "")


def test_very_many_mute_ports_hold_it_up_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "HTTP_SECONDS", 0.2)
    monkeypatch.setattr(under_test, "PROBES_SECONDS", 0.3)

    async def scenario() -> float:
        async with answering_with(b"") as port:
            running = running_vm(tmp_path)
            numbers = range(1000, 1200)
            running.handle.ports = {f"tcp/{number}": port for number in numbers}
            listening = [ListeningPort("tcp", number, "0.0.0.0") for number in numbers]
            began = time.monotonic()
            found = await PortListing(example_vm(address=HOST), running, listening).ports()
            assert len(found) == len(numbers)
            return time.monotonic() - began

    assert asyncio.run(scenario()) < 2.0


def test_published_port_is_shown_beside_the_one_in_the_guest(tmp_path: Path) -> None:
    _, published = listed(tmp_path, published=True)
    assert published.published
    assert (published.guest_address, published.guest_port) == ("0.0.0.0", 8080)
    assert published.url == f"http://{HOST}:80/"


def test_published_port_is_shown_though_nothing_listens_in_the_guest(tmp_path: Path) -> None:
    (published,) = listed(tmp_path, published=True, addresses=NOBODY)
    assert (published.guest_address, published.host_port, published.url) == ("", 80, "")
    assert published.reason == ""


@pytest.mark.parametrize(
    ("protocol", "number", "words"),
    [
        ("udp", 68, "DHCP client"),
        ("udp", 40000, "publish it if it serves"),
        ("udp", 5000, f"{MOST_FORWARDS} udp ports"),
        ("tcp", 5000, "not forwarded yet"),
    ],
)
def test_each_cause_of_a_missing_forward_is_told(
    tmp_path: Path, protocol: Protocol, number: int, words: str
) -> None:
    running = running_vm(tmp_path)
    running.handle.ports = {f"udp/{port}": port for port in range(20000, 20000 + MOST_FORWARDS)}
    listening = [ListeningPort(protocol, number, "0.0.0.0")]
    (port,) = asyncio.run(PortListing(example_vm(address=HOST), running, listening).ports())
    assert words in port.reason
