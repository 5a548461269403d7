"""A QMP connection to one QEMU (the qemu.qmp library): commands, events, and descriptors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.vm_supervisor.drivers.exit import LINE_MAX
from shared.errors import BangerError, Code
from shared.host.process import Watch
from shared.plain_text import printable

if TYPE_CHECKING:  # imported when QEMU runs already: the guest boots meanwhile
    from qemu.qmp import QMPClient

CONNECT_SECONDS = 10.0
END_SECONDS = 0.5
"""How soon a QEMU that has closed its socket is expected to be gone."""
_RETRY_SECONDS = 0.01


class QmpControl:
    """``watch``: the process; ``socket``: where it serves QMP."""

    def __init__(self, watch: Watch, socket: Path) -> None:
        self._watch = watch
        self._socket = socket
        self._qmp: QMPClient | None = None

    async def connect(self) -> bool:
        """Connect as soon as QEMU serves; False when it has ended.

        Raises:
            BangerError: ``timeout``.
        """
        from qemu.qmp import ConnectError, QMPClient

        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        while self._watch.alive and loop.time() < deadline:
            qmp = QMPClient(f"banger-{self._watch.process.pid}")
            # QEMU makes the socket some milliseconds after it starts: no need for a log line.
            qmp.logger.setLevel("CRITICAL")
            try:
                # The library asserts that the other side is still there after the handshake. A
                # VMM that has gone was reached all the same, and ``ended`` says why it went.
                with contextlib.suppress(AssertionError):
                    async with asyncio.timeout_at(deadline):
                        await qmp.connect(str(self._socket))
            except TimeoutError:
                break  # it took the connection and sent no greeting
            except ConnectError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._qmp = qmp
                return True
        if not self._watch.alive:
            return False
        raise BangerError(Code.TIMEOUT, "QEMU does not answer on its QMP socket")

    async def execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
        """Run a command of the QEMU QMP Reference.

        Raises:
            BangerError: ``not_running`` when QEMU is gone, ``internal`` when it refuses.
        """
        from qemu.qmp import ExecuteError, QMPError

        try:
            return await self._client().execute(command, arguments)
        except QMPError as error:
            if not isinstance(error, ExecuteError):  # a QEMU that ends closes its sockets first
                await self._expect_end()
            if not self._watch.alive:
                raise _gone() from error
            words = printable(str(error), LINE_MAX)
            raise BangerError(Code.INTERNAL, f"QEMU refused {command}: {words}") from error

    async def _expect_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._watch.ended()

    def send_descriptor(self, descriptor: int) -> None:
        """Hand QEMU a descriptor, which the next getfd names. Raises ``not_running``."""
        from qemu.qmp import QMPError

        try:
            self._client().send_fd_scm(descriptor)
        except (QMPError, OSError) as error:
            raise _gone() from error

    async def events(self) -> AsyncIterator[Any]:
        """What QEMU reports from the connection on, until it ends."""
        async for event in self._client().events:
            yield event

    async def disconnect(self) -> None:
        from qemu.qmp import QMPError

        if self._qmp is not None:
            # QEMU may have closed the connection first.
            with contextlib.suppress(QMPError, OSError, EOFError):
                await self._qmp.disconnect()

    def _client(self) -> "QMPClient":
        if self._qmp is None or not self._watch.alive:
            raise _gone()
        return self._qmp


def _gone() -> BangerError:
    return BangerError(Code.NOT_RUNNING, "the VMM is gone")
