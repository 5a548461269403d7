"""A VM that is put aside and handed over, with a scripted VMM, agent and ssh master."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.vm_supervisor.drivers.contract import ExitReason
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.lifecycle import waiting as under_test
from services.vm_supervisor.lifecycle.supervision import Supervision
from services.vm_supervisor.lifecycle.waiting import Waiting
from shared.contract.messages.vm import Publication, Vm
from shared.errors import BangerError, Code
from shared.host.kernel_text import process_fields
from shared.host.process import ProcessId, start_time
from shared.vm import known_hosts
from shared.vm.handle import read_handle, remove_handle, write_handle
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering, soon
from tests.unit.services.vm_supervisor.lifecycle.bench import Bench, scenario
from tests.unit.services.vm_supervisor.scripted_guest import BOOT_ID, ScriptedGuest
from tests.unit.services.vm_supervisor.serving import serving
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The VMM is this process, which is not idle."""
    monkeypatch.setattr(under_test, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[str]]":
    """Serves a control socket from a process of its own, which is the master found at ``c``."""
    script = (
        "import os,sys,signal; from tests.scripted.ssh_sessions import Guest, Server;"
        "Server(sys.argv[1], Guest()); print(flush=True); signal.alarm(60); signal.pause()"
    )
    monkeypatch.chdir(tmp_path)  # the control socket of a scripted handle is "c"
    argv = [sys.executable, "-c", script, "c"]
    root = str(Path(__file__).parents[5])
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate(timeout=10)


@asynccontextmanager
async def guest_of(bench: Bench, guest: ScriptedGuest) -> AsyncIterator[Agent]:
    """The only one who is connected to it."""
    bench.supervision.life.tasks.end()
    path = bench.machine.agent.socket
    async with serving(path, answering(guest)):
        agent = await Agent.connect(AgentAddress(path), soon())
        try:
            yield agent
        finally:
            agent.close()


def stands_still(process: ProcessId) -> bool:
    return process_fields(process.pid)[0] == "T"


def identity(process: "subprocess.Popen[str]") -> ProcessId:
    born = start_time(process.pid)
    assert born is not None
    return ProcessId(process.pid, born)


def pool_vm(bench: Bench) -> None:
    life = bench.supervision.life
    life.spec = replace(life.spec, vm=replace(bench.vm, keeper="pool", name=bench.vm.id))


def waiting_of(supervision: Supervision) -> Waiting:
    return supervision._waiting


def user_vm(bench: Bench, **changes: object) -> Vm:
    return replace(bench.vm, name="web", state="running", template="key", **changes)


def test_vm_is_put_aside_warm_and_handed_over(
    tmp_path: Path, master: "subprocess.Popen[str]"
) -> None:
    async def play(bench: Bench) -> None:
        pool_vm(bench)
        guest, life = ScriptedGuest({BOOT_ID: b"boot\n"}), bench.supervision.life
        running = life.running
        assert running
        ssh, publish = identity(master), Publication(host_port=47123, guest_port=80)
        names = known_hosts.names_of(bench.vm.id, bench.vm.id, "127.77.0.2")
        known_hosts.pin(life.launcher.paths.known_hosts, names, "ssh-ed25519 KEY")
        async with guest_of(bench, guest) as agent:
            life.agent = agent
            await waiting_of(bench.supervision).begin(running, agent)
            assert (bench.told[-1], bench.machine.paused) == (("paused", ""), True)
            eventually(lambda: stands_still(ssh))
            handle = read_handle(life.run)
            assert handle
            assert (handle.waits, handle.halted) == (True, ssh)
            assert [each["env"] for each in guest.executed] == [[f"name={bench.vm.id}"]]
            told = len(bench.told)

            wanted = user_vm(bench, publish=[publish], nat=True)
            await bench.supervision.hand_over(wanted)
            assert (life.state, life.vm, len(bench.told)) == ("running", wanted, told)
            assert not bench.machine.paused
            eventually(lambda: not stands_still(ssh))
            assert guest.executed[-1]["env"] == ["name=web"]
            assert bench.network.forwards == [publish.host_port]
            assert bench.network.uplink[-1]
            assert known_hosts.pinned(life.launcher.paths.known_hosts, "web.vm")
            handle = read_handle(life.run)
            assert handle
            assert (handle.waits, handle.halted) == (False, None)
            life.agent = None

    scenario(tmp_path, play)


def test_a_hand_over_may_be_asked_again(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        guest, wanted = ScriptedGuest({BOOT_ID: b"boot\n"}), user_vm(bench)
        async with guest_of(bench, guest) as agent:
            bench.supervision.life.agent = agent
            await bench.supervision.hand_over(wanted)
            await bench.supervision.hand_over(wanted)
            bench.supervision.life.agent = None
        assert len(guest.executed) == 2
        assert bench.supervision.life.state == "running"

    scenario(tmp_path, play)


@pytest.mark.parametrize("silent", ["guest-get-time", "guest-exec-status"])
def test_a_guest_that_does_not_answer_is_an_error_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr(under_test, "HAND_OVER_SECONDS", 0.2)

    async def play(bench: Bench) -> None:
        async with guest_of(bench, ScriptedGuest(silent=silent)) as agent:
            bench.supervision.life.agent = agent
            with pytest.raises(BangerError) as caught:
                await bench.supervision.hand_over(user_vm(bench))
            bench.supervision.life.agent = None
        assert caught.value.code is Code.GUEST_FAILED

    scenario(tmp_path, play)


def test_a_vm_that_has_ended_is_not_handed_over(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.KILLED)
        await bench.left.wait()
        with pytest.raises(BangerError) as caught:
            await bench.supervision.hand_over(user_vm(bench))
        assert caught.value.code is Code.UNAVAILABLE

    scenario(tmp_path, play)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_successor_leaves_it_waiting_and_can_hand_it_over(
    tmp_path: Path, master: "subprocess.Popen[str]", claimed: bool
) -> None:
    ssh = identity(master)

    async def play(bench: Bench) -> None:
        life, guest = bench.supervision.life, ScriptedGuest({BOOT_ID: b"boot\n"})
        assert (life.state, bench.machine.paused) == ("paused", True)
        eventually(lambda: stands_still(ssh))
        await asyncio.sleep(0)
        assert bench.told == ([] if claimed else [("paused", "")])
        async with serving(bench.machine.agent.socket, answering(guest)):
            await bench.supervision.hand_over(user_vm(bench))
            assert life.agent
            life.agent.close()
            life.agent = None
        assert (life.state, bench.machine.paused) == ("running", False)

    scenario(
        tmp_path,
        play,
        state="running" if claimed else "paused",
        keeper="" if claimed else "pool",
        waits=ssh,
    )


def test_the_end_of_the_vm_is_the_end_of_its_master(
    tmp_path: Path, master: "subprocess.Popen[str]"
) -> None:
    ssh = identity(master)

    async def play(bench: Bench) -> None:
        bench.machine.end(ExitReason.KILLED)
        await bench.left.wait()

    scenario(tmp_path, play, state="paused", keeper="pool", waits=ssh)
    assert master.wait(10) == -signal.SIGKILL


def test_a_handle_that_is_removed_ends_the_master(
    tmp_path: Path, master: "subprocess.Popen[str]"
) -> None:
    from tests.unit.shared.vm.test_handle import own_handle

    handle = own_handle()
    handle.halted = identity(master)
    write_handle(tmp_path, handle)
    remove_handle(tmp_path)
    assert master.wait(10) == -signal.SIGKILL
    eventually(lambda: read_handle(tmp_path) is None)
