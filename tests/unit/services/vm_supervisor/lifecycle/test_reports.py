"""Reports about a running VM, whose VMM is this process and whose guest is scripted."""

import asyncio
import mmap
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.lifecycle import reports as under_test
from services.vm_supervisor.lifecycle.reports import guest_memory, health, stats
from shared.contract.messages.vm import Health
from shared.errors import BangerError, Code
from tests.example import example_vm
from tests.loopback import address
from tests.scripted.agent import Agent as GuestAgent
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering
from tests.unit.services.vm_supervisor.scripted_guest import (
    ScriptedGuest,
    running_vm,
    ssh_that,
)
from tests.unit.services.vm_supervisor.serving import Serve, serving

T = TypeVar("T")
SECONDS = 10.0
HOST = address(18)


def soon() -> float:
    return time.monotonic() + SECONDS


def with_agent(root: Path, serve: Serve, use: Callable[[Agent], Awaitable[T]]) -> T:
    async def scenario() -> T:
        async with asyncio.timeout(SECONDS), serving(root / "agent", serve):
            agent = await Agent.connect(AgentAddress(root / "agent"), soon())
            try:
                return await use(agent)
            finally:
                agent.close()

    return asyncio.run(scenario())


def serving_guest(guest: GuestAgent) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(guest.receive(data))

    return serve


# -- stats ------------------------------------------------------------------------------------


def test_figures_of_the_vmm_are_there_without_an_agent(tmp_path: Path) -> None:
    times = os.times()
    used = asyncio.run(stats(example_vm(), running_vm(tmp_path), None, soon()))
    assert used.cpu_seconds == pytest.approx(times.user + times.system, abs=1)
    assert used.resident_bytes > 1 << 20
    assert 0 <= used.uptime < float(Path("/proc/uptime").read_text().split()[0])
    assert (used.received_bytes, used.sent_bytes) == (None, None)


def test_traffic_is_what_the_guest_counts(tmp_path: Path) -> None:
    serve = serving_guest(GuestAgent("a-boot-id", lambda: None))
    used = with_agent(
        tmp_path, serve, lambda agent: stats(example_vm(), running_vm(tmp_path), agent, soon())
    )
    assert (used.received_bytes, used.sent_bytes) == (4096, 2048)


def test_guest_that_does_not_answer_costs_no_other_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "AGENT_SECONDS", 0.01)
    serve = answering(ScriptedGuest(silent="guest-network-get-interfaces"))
    used = with_agent(
        tmp_path, serve, lambda agent: stats(example_vm(), running_vm(tmp_path), agent, soon())
    )
    assert (used.received_bytes, used.sent_bytes) == (None, None)
    assert used.resident_bytes > 0


def test_moment_of_the_figures_is_that_of_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that takes seconds to answer must not shorten the time between two samples."""
    monkeypatch.setattr(under_test, "AGENT_SECONDS", 0.5)
    serve = answering(ScriptedGuest(silent="guest-network-get-interfaces"))
    before = time.monotonic()
    used = with_agent(
        tmp_path, serve, lambda agent: stats(example_vm(), running_vm(tmp_path), agent, soon())
    )
    assert before <= used.at <= time.monotonic() - 0.5


def test_memory_of_the_guest_is_the_mapping_of_its_size() -> None:
    with mmap.mmap(-1, 37 << 20) as memory:
        memory[: 5 << 20] = bytes(5 << 20)
        assert guest_memory(os.getpid(), 37) == (5 << 20, 5 << 20)
        assert guest_memory(os.getpid(), 41) is None
    assert guest_memory(2**22 + 1, 37) is None


def test_memory_that_another_process_maps_is_not_unique(tmp_path: Path) -> None:
    with (tmp_path / "memory").open("w+b") as file:
        file.truncate(37 << 20)
        flags = mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
        with mmap.mmap(file.fileno(), 0, *flags) as own, mmap.mmap(file.fileno(), 0) as other:
            other[: 5 << 20] = bytes(5 << 20)
            assert own[: 5 << 20] == bytes(5 << 20)
            own[: 1 << 20] = b"x" * (1 << 20)
            found = guest_memory(os.getpid(), 37)
    assert found
    assert found.resident == 5 << 20
    assert found.unique <= 1 << 20


def test_vmm_that_has_ended_is_not_running(tmp_path: Path) -> None:
    """The api then shows what it knows without a VMM."""
    running = running_vm(tmp_path)
    running.handle.pid = 2**22 + 1  # above the kernel's PID_MAX_LIMIT
    with pytest.raises(BangerError) as caught:
        asyncio.run(stats(example_vm(), running, None, soon()))
    assert caught.value.code is Code.NOT_RUNNING


# -- health -----------------------------------------------------------------------------------

DISKS = """Filesystem 1024-blocks Used Available Capacity Mounted on
overlay 1000 {} 10 {}% /
/dev/vdc 1000 10 990 1% /root
"""


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared connection of ssh that answers."""
    ssh_that(tmp_path, monkeypatch, ["Master running (pid=7)"])
    (tmp_path / "master").touch()


def health_of(root: Path, guest: ScriptedGuest) -> Health:
    async def use(agent: Agent) -> Health:
        return await health(example_vm(), running_vm(root), agent, soon())

    return with_agent(root, answering(guest), use)


def lines(report: Health) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.ok, check.detail) for check in report.checks}


def printing(state: str = "running", percent: str = "40") -> ScriptedGuest:
    return ScriptedGuest(prints={"systemctl": f"{state}\n", "df -P": DISKS.format(0, percent)})


@pytest.mark.usefixtures("master")
def test_guest_that_is_well_says_so_in_every_line(tmp_path: Path) -> None:
    report = health_of(tmp_path, printing())
    assert report.healthy
    assert lines(report) == {
        "vmm": (True, f"pid {os.getpid()}"),
        "ssh": (True, "shared connection, pid 7"),
        "agent": (True, "answers"),
        "system": (True, "running"),
        "disks": (True, "/ 40% used, /root 1% used"),
    }


@pytest.mark.usefixtures("master")
@pytest.mark.parametrize(
    ("state", "well"),
    [("degraded", False), ("maintenance", False), ("starting", True), ("offline", True)],
)
def test_health_of_the_system_is_what_systemd_says(tmp_path: Path, state: str, well: bool) -> None:
    report = health_of(tmp_path, printing(state))
    assert lines(report)["system"] == (well, state)
    assert report.healthy is well


@pytest.mark.usefixtures("master")
def test_guest_without_systemd_is_well(tmp_path: Path) -> None:
    report = health_of(tmp_path, printing(""))
    assert lines(report)["system"] == (True, "no systemd")


@pytest.mark.usefixtures("master")
@pytest.mark.parametrize(("percent", "well"), [("94", True), ("95", False), ("100", False)])
def test_disk_that_is_nearly_full_is_not_well(tmp_path: Path, percent: str, well: bool) -> None:
    report = health_of(tmp_path, printing(percent=percent))
    assert lines(report)["disks"] == (well, f"/ {percent}% used, /root 1% used")
    assert report.healthy is well


@pytest.mark.usefixtures("master")
@pytest.mark.parametrize("percent", ["-", "9999", "\N{SUPERSCRIPT TWO}"])
def test_disk_of_which_the_guest_tells_nonsense_is_left_out(tmp_path: Path, percent: str) -> None:
    report = health_of(tmp_path, printing(percent=percent))
    assert lines(report)["disks"] == (True, "/root 1% used")


@pytest.mark.usefixtures("master")
def test_agent_that_is_mute_is_said_to_be_and_is_asked_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "AGENT_SECONDS", 0.01)
    guest = printing()

    async def use(agent: Agent) -> Health:
        guest.silent = "guest-ping"
        return await health(example_vm(), running_vm(tmp_path), agent, soon())

    report = with_agent(tmp_path, answering(guest), use)
    assert not report.healthy
    assert list(lines(report)) == ["vmm", "ssh", "agent"]
    assert lines(report)["agent"] == (False, "the guest agent did not answer guest-ping")


@pytest.mark.usefixtures("master")
def test_agent_that_grows_mute_fails_the_line_that_asked_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "AGENT_SECONDS", 0.05)
    report = health_of(tmp_path, ScriptedGuest(silent="guest-exec"))
    assert lines(report)["agent"] == (True, "answers")
    assert lines(report)["system"] == (False, "the guest agent did not answer guest-exec")
    assert not report.healthy


@pytest.mark.usefixtures("master")
def test_agent_that_was_never_reached_is_said_to_be(tmp_path: Path) -> None:
    report = asyncio.run(health(example_vm(), running_vm(tmp_path), None, soon()))
    assert not report.healthy
    assert lines(report)["agent"] == (False, "it has not answered yet")
    assert list(lines(report)) == ["vmm", "ssh", "agent"]


def test_vmm_that_is_gone_and_ssh_that_is_not_connected_are_not_well(tmp_path: Path) -> None:
    running = running_vm(tmp_path)
    running.handle.start_time += 1
    checks = lines(asyncio.run(health(example_vm(), running, None, soon())))
    assert checks["vmm"] == (False, f"pid {os.getpid()}")
    assert checks["ssh"] == (False, "no shared connection")


@pytest.mark.usefixtures("master")
def test_ports_beyond_the_limit_of_forwards_are_not_well(tmp_path: Path) -> None:
    running = running_vm(tmp_path)
    running.unforwarded = 3

    async def use(agent: Agent) -> Health:
        return await health(example_vm(), running, agent, soon())

    report = with_agent(tmp_path, answering(printing()), use)
    assert not report.healthy
    assert lines(report)["forwards"][1].startswith("3 ports beyond the 256")


@pytest.mark.usefixtures("master")
def test_paused_guest_is_not_waited_for(tmp_path: Path) -> None:
    async def use(agent: Agent) -> Health:
        return await health(example_vm(), running_vm(tmp_path), agent, soon(), paused=True)

    report = with_agent(tmp_path, answering(printing()), use)
    assert lines(report)["agent"] == (False, "the VM is paused")
    assert "system" not in lines(report)
