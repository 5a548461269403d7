"""A guest is ready when agent and sshd answer; when they do not, the cause is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.launch import readiness as under_test
from services.vm_supervisor.launch.readiness import await_ready, likely_cause, release_init
from services.vm_supervisor.running_vm import RunningVm
from shared.errors import BangerError, Code
from shared.vm import files
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering
from tests.unit.services.vm_supervisor.scripted_guest import (
    BOOT_ID,
    ScriptedGuest,
    running_vm,
    ssh_that,
)
from tests.unit.services.vm_supervisor.serving import Serve, serving

SECONDS = 10.0
CRASHED = VmmExit(ExitReason.CRASHED, "kvm: out of memory")


class Vmm:
    """A VMM's end, which comes when the test says so."""

    def __init__(self) -> None:
        self._end: asyncio.Future[VmmExit] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        self._end.set_result(CRASHED)

    async def ended(self) -> VmmExit:
        return await asyncio.shield(self._end)


class Boot:
    """A guest that boots in ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "agent"
        self.vmm = Vmm()
        self.running: RunningVm = running_vm(root, ended=self.vmm.ended)

    async def prepare(self, running: RunningVm, agent: Agent) -> None:
        """A guest that is let in at once, if it has answered."""
        await agent.ping(time.monotonic() + SECONDS)
        assert running is self.running
        assert not self.running.handle.guest_boot

    async def ready(self, seconds: float = SECONDS) -> None:
        agent = await await_ready(self.running, "beta", self.root, seconds, self.prepare)
        await agent.ping(time.monotonic() + SECONDS)
        agent.close()

    async def refused(self, seconds: float = SECONDS) -> BangerError:
        with pytest.raises(BangerError) as caught:
            await self.ready(seconds)
        return caught.value


def played(root: Path, play: Callable[[Boot], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(SECONDS):
            await play(Boot(root))

    asyncio.run(scenario())


def good_guest() -> Serve:
    return answering(ScriptedGuest({BOOT_ID: b"a-boot-id\n"}))


async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads until the client hangs up."""
    await reader.read()


def test_guest_whose_agent_and_sshd_answer_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = ssh_that(tmp_path, monkeypatch, ["Connection refused", ""])

    async def play(boot: Boot) -> None:
        async with serving(boot.socket, good_guest()):
            await boot.ready()
        assert boot.running.handle.guest_boot == "a-boot-id"
        assert tried() == 2

    played(tmp_path, play)


def test_agent_that_is_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = ssh_that(tmp_path, monkeypatch, [""])

    async def play(boot: Boot) -> None:
        waiting = asyncio.create_task(boot.ready())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert tried() == 0, "no ssh before the agent answers"
        async with serving(boot.socket, good_guest()):
            await waiting
        assert tried() == 1

    played(tmp_path, play)


def test_vmm_that_ends_while_the_agent_is_waited_for_is_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = ssh_that(tmp_path, monkeypatch, [""])

    async def play(boot: Boot) -> None:
        async def end_when_asked(
            reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
        ) -> None:
            await reader.readline()
            boot.vmm.end()
            await reader.read()

        async with serving(boot.socket, end_when_asked):  # returns when its client has hung up
            error = await boot.refused()
        assert error.code is Code.GUEST_FAILED
        assert error.message == "beta did not boot: kvm: out of memory"
        assert str(tmp_path / files.CONSOLE_LOG) in error.hint
        assert tried() == 0

    played(tmp_path, play)


def test_vmm_that_closes_its_sockets_before_it_ends_is_the_cause_too(tmp_path: Path) -> None:
    async def play(boot: Boot) -> None:
        async def hang_up_and_end(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.readline()
            writer.close()
            await writer.wait_closed()
            asyncio.get_running_loop().call_later(0.01, boot.vmm.end)

        async with serving(boot.socket, hang_up_and_end):
            error = await boot.refused()
        assert error.message == "beta did not boot: kvm: out of memory"

    played(tmp_path, play)


def test_vmm_that_closes_the_agents_socket_and_lives_on_is_not_said_to_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "EXIT_SECONDS", 0.01)

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    async def play(boot: Boot) -> None:
        async with serving(boot.socket, hang_up):
            error = await boot.refused()
        assert error.code is Code.GUEST_FAILED
        assert "closed the guest agent's socket" in error.message

    played(tmp_path, play)


def test_guest_that_never_answers_fails_with_the_end_of_this_boots_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "EXIT_SECONDS", 0.0)
    before = b"Kernel panic - not syncing: of an earlier boot\n"
    (tmp_path / files.CONSOLE_LOG).write_bytes(before + b"Starting sshd\n\n")

    async def play(boot: Boot) -> None:
        boot.running.handle.console_start = len(before)
        async with serving(boot.socket, mute):
            error = await boot.refused(0.05)
        assert error.code is Code.GUEST_FAILED
        assert error.message.startswith("the agent of beta did not answer within")
        assert error.message.endswith("its console ends with 'Starting sshd'")

    played(tmp_path, play)


def test_guest_that_refuses_ssh_keeps_its_agent_free_for_the_next_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "EXIT_SECONDS", 0.0)
    ssh_that(tmp_path, monkeypatch, ["Host key verification failed."])

    async def play(boot: Boot) -> None:
        async with serving(boot.socket, good_guest()):  # returns when the client has hung up
            error = await boot.refused()
        assert error.code is Code.DENIED

    played(tmp_path, play)


def test_boot_that_is_given_up_keeps_its_agent_free_for_the_next_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    class Deaf(ScriptedGuest):
        def __call__(self, request: dict[str, object]) -> dict[str, object] | None:
            if request["execute"] == "guest-file-open":
                asked.set()
                return None
            return super().__call__(request)

    ssh_that(tmp_path, monkeypatch, [""])

    async def play(boot: Boot) -> None:
        async with serving(boot.socket, answering(Deaf())):
            waiting = asyncio.create_task(boot.ready())
            await asked.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    played(tmp_path, play)


@pytest.mark.parametrize("accel", ["kvm", "tcg"])
def test_init_of_the_image_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accel: str
) -> None:
    monkeypatch.setattr(under_test, "HEAD_START", 0.0)
    guest = ScriptedGuest()
    released(tmp_path, guest, accel)
    assert guest.files == {"/run/banger/go": b"go\n"}


def test_init_that_has_gone_on_by_itself_needs_no_release(tmp_path: Path) -> None:
    guest = ScriptedGuest(refuses_opens=1)
    released(tmp_path, guest, "kvm")
    assert guest.files == {}


def released(root: Path, guest: ScriptedGuest, accel: str) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), serving(root / "agent", answering(guest)):
            agent = await Agent.connect(AgentAddress(root / "agent"), time.monotonic() + SECONDS)
            await release_init(agent, accel)
            agent.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("console", "cause"),
    [
        ("", "it wrote nothing to its console"),
        ("\n \n", "it wrote nothing to its console"),
        ("one\ntwo \n\n", "its console ends with 'two'"),
        ("banger-init: error: no /dev/vdb\nrebooting\n", "banger-init: error: no /dev/vdb"),
        ("Out of memory: killed 1\nKernel panic - x\nend\n", "Kernel panic - x"),
    ],
)
def test_cause_is_the_last_line_that_tells_one(console: str, cause: str) -> None:
    assert likely_cause(console) == cause
