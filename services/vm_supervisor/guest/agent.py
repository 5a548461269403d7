"""The client of the guest's qemu-guest-agent, over its channel (one client at a time)::

    agent = await Agent.connect(address, deadline=monotonic() + 30)  # returns when it answers
    result = await agent.execute(["uname", "-r"], deadline=...)
    await agent.power_off()
    agent.close()

``connect`` may be called before the guest has booted: the request waits in the socket until the
agent opens its port, so readiness needs no polling. Deadlines are absolute, time.monotonic()
seconds. Protocol: the QEMU Guest Agent Protocol Reference.

The qemu.qmp library is not used here. Its parser takes the 0xFF byte at the start of the reply to
guest-sync-delimited for the end of the connection, and only that command tells replies to a
supervisor that died from new ones.

The guest is not trusted: its answers are checked before they are used (agent_answers.py).
"""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

from services.vm_supervisor.guest.agent_answers import (
    ExecStarted,
    ExecStatus,
    GuestInterface,
    GuestTime,
    Piece,
    decode_answer,
    is_sync_reply,
)
from services.vm_supervisor.guest.channel import AgentAddress, OpenChannel, open_channel
from shared.errors import BangerError, Code

T = TypeVar("T")
SHELL = "/run/initramfs/bin/sh"
"""The busybox that init keeps in the guest: an image need not have a shell."""
_RTMIN = 34
"""SIGRTMIN of systemd's C library. Busybox knows such signals by number only."""
LINE_MAX = 1 << 20
"""Bytes of an answer. A piece in base64 has a third of it, and what a command here prints less."""
_PIECE = 256 << 10
FILE_MAX = 256 << 10
"""Bytes of a file that is read."""
_SKIPPED_MAX = 64
"""Answers to earlier calls that are skipped. All that arrived at once are skipped without a pause,
so a guest that sends nothing else must not have the event loop for itself."""
_POLL_SECONDS = (0.005, 0.2)
"""First and longest pause between two looks at a command that runs in the guest."""


@dataclass(frozen=True)
class Executed:
    """The result of a command in the guest. ``status`` is negative for a signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes


class Agent:
    """One connection. Calls are made one after another. A call that misses its deadline raises
    ``timeout``, and the next call first skips late answers to it."""

    def __init__(
        self, address: AgentAddress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer
        self._parted = False
        self._turn = asyncio.Lock()
        self._in_step = False
        self._sync_id = int(time.monotonic_ns()) & 0x7FFF_FFFF

    @classmethod
    async def connect(
        cls, address: AgentAddress, deadline: float, opened: OpenChannel | None = None
    ) -> "Agent":
        """Wait until the agent answers. ``opened``: a connection that is there already.

        Raises:
            BangerError: ``timeout``, or ``guest_failed`` when the VMM closes the socket.
        """
        async with _until(deadline, f"the guest agent of {address.socket} did not answer"):
            reader, writer = opened or await open_channel(address, LINE_MAX)
        agent = cls(address, reader, writer)
        try:
            async with _until(deadline, f"the guest agent of {address.socket} did not answer"):
                await agent._sync()
        except BaseException:
            agent.close()
            raise
        return agent

    async def ping(self, deadline: float) -> None:
        await self._call("guest-ping", {}, deadline)

    async def execute(
        self,
        argv: list[str],
        deadline: float,
        *,
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
        longest: float = _POLL_SECONDS[1],
    ) -> Executed:
        """Run ``argv`` (absolute path or found in the agent's PATH) and wait for its end, which is
        asked for every ``longest`` seconds at least. The first pause is what the start has taken:
        each question costs an emulated guest time, and such a guest is slow at the start already.

        Raises:
            BangerError: ``not_found`` when it cannot be started, ``timeout`` (it runs on).
        """
        began = time.monotonic()
        pid = await self._start(argv, deadline, stdin, env or {})
        pause = max(_POLL_SECONDS[0], min(time.monotonic() - began, _POLL_SECONDS[1]))
        while True:
            await asyncio.sleep(pause)
            state = await self._call("guest-exec-status", {"pid": pid}, deadline, ExecStatus)
            if state.exited:
                return _executed(state)
            pause = min(pause * 1.5, longest)

    async def _start(
        self, argv: list[str], deadline: float, stdin: bytes, env: dict[str, str]
    ) -> int:
        arguments = {
            "path": argv[0],
            "arg": argv[1:],
            "env": [f"{name}={value}" for name, value in env.items()],
            "input-data": base64.b64encode(stdin).decode(),
            "capture-output": True,
        }
        if not stdin:
            del arguments["input-data"]
        if not env:  # an empty list would remove the agent's own environment
            del arguments["env"]
        return (await self._call("guest-exec", arguments, deadline, ExecStarted)).pid

    async def power_off(self, deadline: float, *, by_reset: bool = False) -> None:
        """Ask for a clean shutdown; returns when the guest has been asked, not when it is off.

        systemd starts poweroff.target on SIGRTMIN+4 (systemd(1)), which spares the guest the
        shutdown(8) program, its wall message and a call to logind; other inits know SIGUSR2.
        ``by_reset``: the same shutdown with a reset at its end (SIGRTMIN+5, SIGTERM), for a VMM
        that its guests cannot switch off.
        """
        systemd, other = (_RTMIN + 5, "TERM") if by_reset else (_RTMIN + 4, "USR2")
        script = f"[ -d /run/systemd/system ] && kill -s {systemd} 1 || kill -s {other} 1"
        await self._start([SHELL, "-c", script], deadline, b"", {})

    async def get_time(self, deadline: float) -> int:
        """The guest's clock: nanoseconds since the epoch."""
        return await self._call("guest-get-time", {}, deadline, GuestTime)

    async def set_time(self, deadline: float) -> None:
        """Set the guest's clock to the host's, late by what the call takes, in a guest that has
        hwclock(8). See guest/clock.py for a better way."""
        await self._call("guest-set-time", {"time": time.time_ns()}, deadline)

    async def traffic(self, deadline: float) -> tuple[int, int]:
        """Bytes (received, sent) since the boot, by all devices but the loopback."""
        command = "guest-network-get-interfaces"
        interfaces = await self._call(command, {}, deadline, list[GuestInterface])
        counted = [each.statistics for each in interfaces if each.name != "lo" and each.statistics]
        return sum(each.rx_bytes for each in counted), sum(each.tx_bytes for each in counted)

    async def read_file(self, path: str, deadline: float) -> bytes:
        """The whole file. Raises ``not_found`` if it cannot be opened, ``guest_failed`` if it has
        more than ``FILE_MAX`` bytes."""
        handle = await self.open_file(path, deadline)
        try:
            content = await self._read_on(handle, deadline)
        finally:
            await self._call("guest-file-close", {"handle": handle}, deadline)
        if len(content) > FILE_MAX:
            raise BangerError(Code.GUEST_FAILED, f"{path} of the guest is too long to be read")
        return content

    async def open_file(self, path: str, deadline: float) -> int:
        """A handle for ``read_again``, good for the agent's life. Raises ``not_found``."""
        return await self._call("guest-file-open", {"path": path, "mode": "r"}, deadline, int)

    async def read_again(self, handle: int, deadline: float) -> bytes:
        """The file from its start, cut after ``FILE_MAX`` bytes. Raises ``guest_failed`` for a
        handle of another agent."""
        start = {"handle": handle, "offset": 0, "whence": "set"}
        await self._call("guest-file-seek", start, deadline)
        return (await self._read_on(handle, deadline))[:FILE_MAX]

    async def _read_on(self, handle: int, deadline: float) -> bytes:
        """Read until the end or more than ``FILE_MAX`` bytes are reached, in pieces so large that
        the agent's C library buffers nothing: what it has buffered it would return again after a
        seek, however the file has changed."""
        content = b""
        while True:
            read = {"handle": handle, "count": _PIECE}
            piece = await self._call("guest-file-read", read, deadline, Piece)
            content += piece.content
            if piece.eof or len(content) > FILE_MAX:
                return content

    async def write_file(self, path: str, content: bytes, deadline: float) -> None:
        """Replace the file (or write into the pipe). Raises ``not_found``."""
        arguments = {"path": path, "mode": "w"}
        handle = await self._call("guest-file-open", arguments, deadline, int)
        try:
            data = base64.b64encode(content).decode()
            await self._call("guest-file-write", {"handle": handle, "buf-b64": data}, deadline)
        finally:
            await self._call("guest-file-close", {"handle": handle}, deadline)

    def close(self) -> None:
        self._writer.close()

    @contextlib.asynccontextmanager
    async def parted(self, deadline: float) -> AsyncIterator[None]:
        """Inside, the guest may be paused and saved: the agent has no connection by vsock, and
        calls wait. The first one afterwards connects again.

        A vsock connection does not outlive a save. The agent, which is told so by an error that it
        does not look for, would never take another one. So our end is shut, and the agent has until
        ``deadline`` to close its own: a guest that hangs, or is busy with a call, is saved as it
        is. Behind virtio-serial nothing has to be done.
        """
        if self._address.vsock_port is None or not await self._take_turn(deadline):
            yield
            return
        try:
            if not self._parted:
                await self._part(deadline)
            yield
        finally:
            self._turn.release()

    async def _take_turn(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._turn.acquire()
        except TimeoutError:
            return False

    async def _part(self, deadline: float) -> None:
        self._parted = True
        with contextlib.suppress(BangerError, OSError):
            async with _until(deadline, "the guest agent did not close its connection"):
                self._writer.write_eof()
                while await self._reader.read(LINE_MAX):
                    pass
        self._writer.close()

    async def _connect_again(self) -> None:
        self._reader, self._writer = await open_channel(self._address, LINE_MAX)
        self._parted, self._in_step = False, False

    async def _call(
        self,
        command: str,
        arguments: dict[str, Any],
        deadline: float,
        kind: type[T] = object,  # type: ignore[assignment]
    ) -> T:
        """The answer to a command, as a ``kind``."""
        async with _until(deadline, f"the guest agent did not answer {command}"), self._turn:
            if self._parted:
                await self._connect_again()
            if not self._in_step:
                await self._sync()
            self._in_step = False
            self._send({"execute": command, "arguments": arguments})
            line = await self._line()
            self._in_step = True
        return decode_answer(command, line, kind)

    async def _sync(self) -> None:
        """Skip answers to earlier requests: the right answer follows a 0xFF byte."""
        self._sync_id += 1
        # 0xFF makes the agent's parser drop half a request that a client left when it died.
        self._writer.write(b"\xff")
        self._send({"execute": "guest-sync-delimited", "arguments": {"id": self._sync_id}})
        for _ in range(_SKIPPED_MAX):
            if is_sync_reply(await self._line(), self._sync_id):
                self._in_step = True
                return
        raise BangerError(Code.GUEST_FAILED, "the guest agent sent an answer to no request")

    def _send(self, request: dict[str, Any]) -> None:
        self._writer.write(json.dumps(request).encode() + b"\n")

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readline()
        except OSError:
            line = b""
        except ValueError:
            raise BangerError(
                Code.GUEST_FAILED, f"the guest agent answered with more than {LINE_MAX} bytes"
            ) from None
        if not line.endswith(b"\n"):
            raise BangerError(Code.GUEST_FAILED, "the VMM closed the guest agent's socket")
        return line


def _executed(state: ExecStatus) -> Executed:
    status = -state.signal if state.signal is not None else state.exitcode
    if status is None:
        raise BangerError(Code.GUEST_FAILED, "the guest agent did not report how a command ended")
    return Executed(status, state.out_data, state.err_data)


@contextlib.asynccontextmanager
async def _until(deadline: float, message: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            yield
    except TimeoutError:
        raise BangerError(
            Code.TIMEOUT, message, hint="see the VM's console: banger vm logs"
        ) from None
