"""What runs beside a guest: it ends with the VMM, and one task alone polls the guest's ports."""

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.lifecycle import guest_tasks as under_test
from services.vm_supervisor.lifecycle.guest_tasks import GuestTasks, limit_vmm, set_clock
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports import forwards
from services.vm_supervisor.running_vm import RunningVm
from shared.bus import background
from shared.contract.messages.vm import State
from shared.errors import BangerError, Code
from shared.host.cgroup import release, support
from shared.host.files import sync
from shared.host.process import start_time
from shared.host.retry import poll_async
from shared.logs import Log
from shared.vm import files
from shared.vm.handle import read_handle
from shared.vm.jail import SPAN
from tests.example import example_vm
from tests.loopback import address
from tests.scripted.agent import Agent as GuestAgent
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering
from tests.unit.services.vm_supervisor.scripted_guest import ScriptedGuest, running_vm
from tests.unit.services.vm_supervisor.serving import serving

SECONDS = 10.0
PORT = 8123


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two looks at the guest's ports."""
    monkeypatch.setattr(forwards, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(forwards, "PAUSE", 0.0)


class ScriptedProcess:
    """Runs tasks, and remembers them."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, task: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(task))
        return self.tasks[-1]

    async def store_state(self, state: State, reason: str, *, wakes: bool) -> None:
        raise AssertionError("no state is stored here")

    async def note_use(self) -> None:
        raise AssertionError("nobody uses it here")

    async def leave(self) -> None:
        raise AssertionError("the process goes on")


class ScriptedNetwork:
    """``changes``: "+PORT" and "-PORT", as they are made. ``trouble`` is raised instead."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.trouble: Exception | None = None

    async def add_forward(self, forward: Forward) -> None:
        if self.trouble:
            raise self.trouble
        self.changes.put_nowait(f"+{forward.port}")

    async def remove_forward(self, forward: Forward) -> None:
        self.changes.put_nowait(f"-{forward.port}")


class Bench:
    """The tasks of one guest that listens on ``PORT``."""

    def __init__(self, root: Path, agent: Agent, guest: GuestAgent) -> None:
        self.run = root / "run"
        self.run.mkdir()
        self.network = ScriptedNetwork()
        self.process = ScriptedProcess()
        self.guest = guest
        self.running: RunningVm = running_vm(root, user_network=self.network)
        self.tasks = GuestTasks(self.process, self.run, Log(root / "log", "test"))
        self._agent = agent

    def start_polling(self, **changes: Any) -> None:
        vm = example_vm(address=address(17), **changes)
        self.tasks.start_polling(vm, self.running, self._agent)

    async def ended(self, task: asyncio.Task[None]) -> str:
        """How ``task`` ended."""
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else str(task.exception())


def played(root: Path, play: Callable[[Bench], Awaitable[None]]) -> None:
    async def scenario() -> None:
        guest = GuestAgent("a-boot-id", lambda: None)
        guest.listen(PORT)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1 << 16):
                writer.write(guest.receive(data))

        async with asyncio.timeout(SECONDS), serving(root / "agent", serve):
            agent = await Agent.connect(AgentAddress(root / "agent"), time.monotonic() + SECONDS)
            bench = Bench(root, agent, guest)
            try:
                await play(bench)
            finally:
                for task in bench.process.tasks:
                    task.cancel()
                await asyncio.gather(*bench.process.tasks, return_exceptions=True)
                agent.close()

    asyncio.run(scenario())


def test_ports_that_come_and_go_are_forwarded_and_noted_in_the_handle(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.start_polling()
        assert await bench.network.changes.get() == f"+{PORT}"
        assert bench.running.handle.ports == {f"tcp/{PORT}": PORT}
        assert read_handle(bench.run) == bench.running.handle
        bench.guest.unlisten(PORT)
        assert await bench.network.changes.get() == f"-{PORT}"
        noted = read_handle(bench.run)
        assert noted
        assert noted.ports == {}

    played(tmp_path, play)


def test_forward_of_an_earlier_supervisor_is_not_made_twice(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.running.handle.ports = {f"tcp/{PORT}": 9123}
        bench.start_polling()
        bench.guest.listen(PORT + 1)
        assert await bench.network.changes.get() == f"+{PORT + 1}"
        assert bench.running.handle.ports == {f"tcp/{PORT}": 9123, f"tcp/{PORT + 1}": PORT + 1}

    played(tmp_path, play)


def test_polling_that_is_stopped_leaves_the_forwards_as_they_are(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.start_polling()
        await bench.network.changes.get()
        bench.tasks.stop_polling()
        assert await bench.ended(bench.process.tasks[0]) == "cancelled"
        assert bench.network.changes.empty()
        assert bench.running.handle.ports == {f"tcp/{PORT}": PORT}

    played(tmp_path, play)


def test_polling_that_starts_again_replaces_the_one_before(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.start_polling()
        bench.start_polling()
        first, second = bench.process.tasks
        assert await bench.ended(first) == "cancelled"
        assert await bench.network.changes.get() == f"+{PORT}"
        assert not second.done()

    played(tmp_path, play)


def test_polling_ends_by_itself_when_the_vmm_is_gone(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.network.trouble = BangerError(Code.NOT_RUNNING, "the VMM is gone")
        bench.start_polling()
        assert await bench.ended(bench.process.tasks[0]) == "None"

    played(tmp_path, play)


def test_whatever_polling_raises_is_logged_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.0)

    async def play(bench: Bench) -> None:
        bench.network.trouble = OSError(errno.EMFILE, "Too many open files")
        bench.start_polling()
        log = tmp_path / "log"
        await poll_async(lambda: "Too many open files" in log.read_text(), time.monotonic() + 5)
        bench.network.trouble = None
        assert await bench.network.changes.get() == f"+{PORT}"
        assert not bench.process.tasks[0].done()

    played(tmp_path, play)


def test_task_that_is_run_once_ends_nothing_by_its_failure(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        async def fail() -> None:
            raise UnicodeError("a guest's words")

        bench.tasks.run_once("failing", fail)
        assert await bench.ended(bench.process.tasks[0]) == "None"
        assert "a guest's words" in (tmp_path / "log").read_text()

    played(tmp_path, play)


def test_guest_in_bridge_mode_is_not_polled(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.start_polling(network="bridge")
        assert bench.process.tasks == []

    played(tmp_path, play)


def test_all_tasks_end_with_the_vmm(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        async def wait_for_ever() -> None:
            await asyncio.Event().wait()

        bench.tasks.add("waiting", wait_for_ever)
        bench.start_polling()
        await bench.network.changes.get()
        bench.tasks.end()
        assert [await bench.ended(task) for task in bench.process.tasks] == ["cancelled"] * 2

    played(tmp_path, play)


def set_clock_of(root: Path, guest: ScriptedGuest) -> str:
    """What is logged."""

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), serving(root / "agent", answering(guest)):
            agent = await Agent.connect(AgentAddress(root / "agent"), time.monotonic() + SECONDS)
            await set_clock(agent, Log(root / "log", "test"))
            agent.close()

    asyncio.run(scenario())
    return (root / "log").read_text()


def test_clock_of_the_guest_is_moved(tmp_path: Path) -> None:
    guest = ScriptedGuest(behind=60)
    assert set_clock_of(tmp_path, guest) == ""
    assert [each["path"] for each in guest.executed] == ["/run/initramfs/bin/adjust"]


def test_clock_that_cannot_be_set_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "CLOCK_SECONDS", 0.01)
    logged = set_clock_of(tmp_path, ScriptedGuest(silent="guest-get-time"))
    assert "the guest's clock was not set" in logged


def running_as(root: Path, pid: int, born: int) -> RunningVm:
    running = running_vm(root)
    running.handle.pid, running.handle.start_time = pid, born
    return running


def group_of(vm_id: str) -> Path:
    base = support().base
    assert base
    return base / "banger" / str(os.geteuid()) / vm_id


needs_groups = pytest.mark.skipif(support().base is None, reason=support().reason)


@needs_groups
def test_vmm_gets_a_group_of_its_own(tmp_path: Path) -> None:
    vm = example_vm(id=os.urandom(6).hex())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        running = running_as(tmp_path, process.pid, start_time(process.pid) or 0)
        limit_vmm(vm, running, Log(tmp_path / "log", "test"))
        inside = (group_of(vm.id) / "cgroup.procs").read_text().split()
        assert process.stdin
        process.stdin.close()
    release(vm.id)
    assert inside == [str(process.pid)]


def test_vmm_that_cannot_be_limited_is_logged_and_runs_on(tmp_path: Path) -> None:
    vm = example_vm(id=os.urandom(6).hex())
    pid = 2**22 + 1  # above the kernel's PID_MAX_LIMIT
    limit_vmm(vm, running_as(tmp_path, pid, 1), Log(tmp_path / "log", "test"))
    release(vm.id)
    assert "the VMM is not limited in everything" in (tmp_path / "log").read_text()


@needs_groups
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process the uid of a jail")
def test_jailed_vmm_stays_in_the_group_that_it_is_in(tmp_path: Path) -> None:
    vm = example_vm(id=os.urandom(6).hex())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=SPAN.start) as process:
        running = running_as(tmp_path, process.pid, start_time(process.pid) or 0)
        limit_vmm(vm, running, Log(tmp_path / "log", "test"))
        there = group_of(vm.id).exists()
        assert process.stdin
        process.stdin.close()
    release(vm.id)
    assert not there
    assert (tmp_path / "log").read_text() == ""


def test_logs_that_a_guest_makes_grow_are_bounded_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "LOG_SECONDS", 0.01)
    console = tmp_path / files.CONSOLE_LOG

    async def scenario() -> None:
        log = Log(tmp_path / "log", "test")
        limiting = asyncio.create_task(under_test.limit_logs(tmp_path, log))
        console.write_bytes(b"flood" * (4 << 20))
        sync(console)
        freed = await poll_async(
            lambda: console.stat().st_blocks * 512 <= 9 << 20, time.monotonic() + SECONDS
        )
        limiting.cancel()
        assert freed

    asyncio.run(scenario())
    assert console.stat().st_size == 20 << 20
