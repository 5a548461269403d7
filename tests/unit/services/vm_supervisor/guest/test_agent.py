"""The agent's client against a scripted agent on a real socket."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.guest.agent import FILE_MAX, Agent
from services.vm_supervisor.guest.agent_answers import is_sync_reply
from services.vm_supervisor.guest.channel import AgentAddress
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering, soon, with_agent
from tests.unit.services.vm_supervisor.serving import serving


def obedient(request: dict[str, Any]) -> dict[str, Any]:
    match request["execute"]:
        case "guest-exec":
            return {"return": {"pid": 7}}
        case "guest-exec-status":
            return {"return": {"exited": True, "exitcode": 42, "out-data": "aGk="}}
        case _:
            return {"return": {}}


def test_what_a_dead_client_was_owed_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    async def use(agent: Agent) -> tuple[int, bytes]:
        done = await agent.execute(["true"], soon())
        return done.status, done.stdout

    serve = answering(obedient, leftover=b'{"return": {"pid": 999}}\n')
    assert with_agent(tmp_path / "a", serve, use) == (42, b"hi")


def test_a_late_answer_does_not_shift_the_ones_after_it(tmp_path: Path) -> None:
    silent_once = iter([True])

    def commands(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["execute"] == "guest-file-open" and next(silent_once, False):
            return None
        return {"return": 5} if request["execute"] == "guest-file-open" else {"return": {}}

    async def use(agent: Agent) -> int:
        with pytest.raises(BangerError) as caught:
            await agent.open_file("/f", time.monotonic())
        assert caught.value.code is Code.TIMEOUT
        next(silent_once, None)
        return await agent.open_file("/f", soon())

    assert with_agent(tmp_path / "a", answering(commands), use) == 5


def test_a_call_that_waits_for_another_keeps_its_deadline(tmp_path: Path) -> None:
    def commands(request: dict[str, Any]) -> dict[str, Any] | None:
        return None if request["execute"] == "guest-set-time" else {"return": {}}

    async def use(agent: Agent) -> None:
        silent = asyncio.create_task(agent.set_time(soon()))
        await asyncio.sleep(0)  # it has the connection
        with pytest.raises(BangerError) as caught:
            await agent.ping(time.monotonic() + 0.01)
        assert caught.value.code is Code.TIMEOUT
        silent.cancel()

    with_agent(tmp_path / "a", answering(commands), use)


Use = Callable[[Agent], Awaitable[object]]
USES: dict[str, Use] = {
    "execute": lambda agent: agent.execute(["true"], soon()),
    "traffic": lambda agent: agent.traffic(soon()),
    "read": lambda agent: agent.read_file("/f", soon()),
    "write": lambda agent: agent.write_file("/f", b"x", soon()),
    "clock": lambda agent: agent.set_time(soon()),
}
NONSENSE = [b"nonsense", b"{}", b'{"error": 1}', b'{"error": {"desc": 1}}', b"[" * 9999, b"\xff"]


def lying(nonsense: bytes) -> Callable[..., Awaitable[None]]:
    """An agent that is well until it is asked for something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = json.loads(line.lstrip(b"\xff"))
            if request["execute"] == "guest-sync-delimited":
                reply = json.dumps({"return": request["arguments"]["id"]}).encode()
                writer.write(b"\xff" + reply + b"\n")
            elif request["execute"] == "guest-ping":
                writer.write(b'{"return": {}}\n')
            else:
                writer.write(nonsense + b"\n")
                with contextlib.suppress(ConnectionError):
                    await writer.drain()

    return serve


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_a_failed_guest(tmp_path: Path, use: Use, nonsense: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        with_agent(tmp_path / "a", lying(nonsense), use)
    assert caught.value.code is Code.GUEST_FAILED


@pytest.mark.parametrize("result", ["7", "[7]", '{"pid": "x"}', '{"exited": true}', '{"eof": 0}'])
@pytest.mark.parametrize("use", [USES["execute"], USES["traffic"]])
def test_an_answer_of_another_kind_is_a_failed_guest(tmp_path: Path, use: Use, result: str) -> None:
    with pytest.raises(BangerError) as caught:
        with_agent(tmp_path / "a", lying(f'{{"return": {result}}}'.encode()), use)
    assert caught.value.code is Code.GUEST_FAILED


def test_a_line_without_an_end_is_a_failed_guest(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="more than") as caught:
        with_agent(tmp_path / "a", lying(b"x" * (5 << 20)), USES["clock"])
    assert caught.value.code is Code.GUEST_FAILED


def endless_file(request: dict[str, Any]) -> dict[str, Any]:
    """The answers of an agent that never comes to the end of a file."""
    match request["execute"]:
        case "guest-file-open":
            return {"return": 5}
        case "guest-file-read":
            count = request["arguments"]["count"]
            piece = base64.b64encode(b"x" * count).decode()
            return {"return": {"count": count, "eof": False, "buf-b64": piece}}
        case _:
            return {"return": {}}


def test_a_file_without_an_end_is_a_failed_guest(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="too long") as caught:
        with_agent(tmp_path / "a", answering(endless_file), USES["read"])
    assert caught.value.code is Code.GUEST_FAILED


def test_a_file_that_is_read_again_is_cut(tmp_path: Path) -> None:
    async def use(agent: Agent) -> bytes:
        return await agent.read_again(await agent.open_file("/proc/net/tcp", soon()), soon())

    assert with_agent(tmp_path / "a", answering(endless_file), use) == b"x" * FILE_MAX


def test_an_agent_that_sends_lines_without_end_is_given_up_at_once(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(b"\n" * (1 << 20))

    async def scenario() -> None:
        async with serving(tmp_path / "a", serve):
            with pytest.raises(BangerError, match="answer to no request") as caught:
                await Agent.connect(AgentAddress(tmp_path / "a"), soon())
            assert caught.value.code is Code.GUEST_FAILED

    asyncio.run(scenario())


def test_a_refusal_carries_the_agents_words(tmp_path: Path) -> None:
    def commands(request: dict[str, Any]) -> dict[str, Any]:
        failed = {"error": {"class": "GenericError", "desc": "No such file or directory"}}
        return failed if request["execute"] == "guest-file-open" else {"return": {}}

    async def use(agent: Agent) -> None:
        with pytest.raises(BangerError, match="No such file") as caught:
            await agent.read_file("/absent", soon())
        assert caught.value.code is Code.NOT_FOUND

    with_agent(tmp_path / "a", answering(commands), use)


def test_a_vmm_that_goes_away_is_a_failed_guest(tmp_path: Path) -> None:
    async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def use(agent: Agent) -> None:
        raise AssertionError("there was no agent")

    with pytest.raises(BangerError) as caught:
        with_agent(tmp_path / "a", gone, use)
    assert caught.value.code is Code.GUEST_FAILED


def test_only_a_delimited_reply_with_our_number_is_in_step() -> None:
    assert is_sync_reply(b'\xff{"return": 3}\n', 3)
    assert not is_sync_reply(b'\xff{"return": 2}\n', 3)
    assert not is_sync_reply(b'{"return": 3}\n', 3)


def vsock_agent(events: list[str]) -> Callable[..., Awaitable[None]]:
    """An agent behind vsock that notes when it is connected to and when a client shuts its end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"CONNECT 1024\n"
        events.append("connected")
        writer.write(b"OK 1\n")
        await answering(obedient)(reader, writer)
        events.append("closed")

    return serve


def with_vsock_agent(path: Path, use: Callable[[Agent, list[str]], Awaitable[Any]]) -> Any:
    events: list[str] = []

    async def scenario() -> Any:
        async with serving(path, vsock_agent(events)):
            agent = await Agent.connect(AgentAddress(path, 1024), soon())
            try:
                return await use(agent, events)
            finally:
                agent.close()

    return asyncio.run(scenario())


def test_a_guest_that_is_saved_has_closed_its_connection_and_gets_another_afterwards(
    tmp_path: Path,
) -> None:
    async def use(agent: Agent, events: list[str]) -> None:
        async with agent.parted(soon()):
            assert events == ["connected", "closed"]
            call = asyncio.create_task(agent.ping(soon()))
            await asyncio.sleep(0)
            assert not call.done()
        await call
        await agent.ping(soon())
        assert events == ["connected", "closed", "connected"]
        for _ in range(2):
            async with agent.parted(soon()):
                assert events.count("closed") == 2

    with_vsock_agent(tmp_path / "a", use)


def test_a_guest_whose_agent_hangs_or_is_busy_is_saved_all_the_same(tmp_path: Path) -> None:
    async def use(agent: Agent, _events: list[str]) -> None:
        async with agent._turn, agent.parted(time.monotonic()):
            assert not agent._parted
        agent._reader = asyncio.StreamReader()  # as of an agent that never closes its end
        async with agent.parted(time.monotonic() + 0.01):
            assert agent._parted

    with_vsock_agent(tmp_path / "a", use)


def test_a_virtio_serial_port_is_kept_through_a_save(tmp_path: Path) -> None:
    async def use(agent: Agent) -> None:
        async with agent.parted(soon()):
            await agent.ping(soon())

    with_agent(tmp_path / "a", answering(obedient), use)
