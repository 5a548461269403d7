"""Saves a machine to files and loads one from them: QEMU's migration, whose other end is a file.

A guest's memory that is a file, mapped shared, stays where it is (capability x-ignore-shared): only
the device state is written, some 100 KiB in 25 ms. All other memory is written into one stream with
the device state, at about 1 GB/s, without pages of zeros. QEMU has the files by descriptors
(getfd): its sandbox lets it start no program, and which files it may open does not matter.
The commands are those of the QEMU QMP Reference, Migration.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from services.vm_supervisor.drivers.exit import LINE_MAX
from services.vm_supervisor.drivers.qemu import own_memory
from services.vm_supervisor.drivers.qemu.argv import MEMORY
from services.vm_supervisor.drivers.qemu.saved_networks import network_instances, renumber_networks
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.vm import files
from shared.vm.publish_saved import refused
from shared.vm.saved import MemoryForm, memory_form
from shared.vm.sparse import copy_sparse

Execute = Callable[[str, dict[str, object] | None], Awaitable[object]]
"""Runs one QMP command with its arguments."""
STATE_ALONE = "xen-save-devices-state"
"""Writes the state of all devices, and no memory, into a file. Whether Xen is there or not."""
BANDWIDTH = 1 << 40
"""Bytes a second: no limit. QEMU's own is 128 MiB/s."""
POLL_SECONDS = 0.003
_CANCEL_SECONDS = 5.0
_DESCRIPTOR = "banger"
_FULL = "No space left on device", "Disk quota exceeded"
_ACTIVE = ("setup", "active", "device", "pre-switchover", "cancelling")
"""MigrationStatus of a migration that is under way."""


class Migration:
    """By one QMP connection to the QEMU ``pid``. ``send_descriptor`` hands the next command a
    descriptor."""

    def __init__(
        self, execute: Execute, send_descriptor: Callable[[int], None], pid: int = 0
    ) -> None:
        self._execute = execute
        self._send_descriptor = send_descriptor
        self._pid = pid

    async def save(self, target: Path) -> MemoryForm:
        """See ``contract.Machine.save``."""
        await self._stand_still()
        memory = await self._shared_memory()
        try:
            if memory is None:
                return await self._save_private(target)
            await self._write(target / files.DEVICE_STATE, whole=False)
            copy = target / files.MEMORY
            if not (copy.exists() and copy.samefile(memory)):
                await asyncio.to_thread(copy_sparse, memory, copy)
            return "file"
        except OSError as error:
            raise refused(target, error) from error

    async def _save_private(self, target: Path) -> MemoryForm:
        """Copy the memory from outside, if that is allowed; else QEMU writes it into a stream."""
        size = await self._execute("qom-get", {"path": f"/objects/{MEMORY}", "property": "size"})
        state = target / files.DEVICE_STATE
        try:
            mapping = await asyncio.to_thread(own_memory.locate, self._pid, int(str(size)))
            state.touch(0o600)
            await self._execute(STATE_ALONE, {"filename": str(state), "live": False})
            await asyncio.to_thread(
                own_memory.copy_memory, self._pid, mapping, target / files.MEMORY
            )
        except (own_memory.Unreachable, BangerError):
            # Not allowed, or a QEMU without that command. One without space says so again.
            state.unlink(missing_ok=True)
            await self._write(target / files.MEMORY, whole=True)
            return "stream"
        return "file"

    async def load(self, saved: Path) -> None:
        """Load what is in ``saved`` into a QEMU that was started with ``-incoming defer -S``.

        Raises:
            BangerError: ``not_running`` when QEMU has ended: it refuses what was saved.
        """
        whole = memory_form(saved) == "stream"
        state = saved / (files.MEMORY if whole else files.DEVICE_STATE)
        await renumber_networks(self._execute, await asyncio.to_thread(network_instances, state))
        await self._configure(whole=whole)
        # A copy has the hardware address of the machine that was saved, and is silent until it has
        # its own.
        await self._execute("migrate-set-parameters", {"announce-rounds": 0})
        with state.open("rb") as file:
            await self._hand_over(file.fileno())
        await self._execute("migrate-incoming", {"uri": f"fd:{_DESCRIPTOR}"})
        while True:
            if await self.status() != "inmigrate":
                return
            await asyncio.sleep(POLL_SECONDS)

    async def status(self) -> str:
        """A RunState of the QEMU QMP Reference."""
        return str(_table(await self._execute("query-status", None)).get("status", ""))

    async def abandon(self) -> None:
        """End a save that a supervisor before this one has begun: at its end QEMU would stop the
        guest, which may run by then. Nothing without one."""
        outcome = _table(await self._execute("query-migrate", None))
        if outcome.get("status") in _ACTIVE:
            await self._cancel()

    async def _stand_still(self) -> None:
        """Make sure that the guest is paused, and that QEMU is willing to save it once more.

        After a migration QEMU refuses another one until the guest has run.
        """
        status = await self.status()
        if status == "running":
            raise BangerError(Code.CONFLICT, "a guest is saved while it is paused, and it runs")
        if status == "postmigrate":
            # Sent together, so the guest runs for less than a millisecond.
            await asyncio.gather(self._execute("cont", None), self._execute("stop", None))

    async def _shared_memory(self) -> Path | None:
        """The file that is the guest's memory, and written to by the guest; None without."""
        path = f"/objects/{MEMORY}"
        if await self._execute("qom-get", {"path": path, "property": "share"}) is not True:
            return None
        name = str(await self._execute("qom-get", {"path": path, "property": "mem-path"}))
        return Path(name.replace("/proc/self/", f"/proc/{self._pid}/", 1))

    async def _write(self, path: Path, *, whole: bool) -> None:
        await self._configure(whole=whole)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            await self._hand_over(descriptor)
        finally:
            os.close(descriptor)
        try:
            await self._execute("migrate", {"uri": f"fd:{_DESCRIPTOR}"})
            outcome = await self._finished()
        except BaseException:
            await self._cancel()
            raise
        if outcome.get("status") != "completed":
            raise _save_failed(path, str(outcome.get("error-desc", outcome.get("status"))))

    async def _finished(self) -> dict[str, Any]:
        while True:
            outcome = _table(await self._execute("query-migrate", None))
            if outcome.get("status") not in _ACTIVE:
                return outcome
            await asyncio.sleep(POLL_SECONDS)

    async def _cancel(self) -> None:
        """End a migration that nobody waits for, so that the guest can go on and be saved again."""
        with contextlib.suppress(BangerError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._execute("migrate_cancel", None)
                await self._finished()

    async def _configure(self, *, whole: bool) -> None:
        """``whole``: memory that is a shared file is written as well."""
        capabilities = [{"capability": "x-ignore-shared", "state": not whole}]
        await self._execute("migrate-set-capabilities", {"capabilities": capabilities})
        await self._execute("migrate-set-parameters", {"max-bandwidth": BANDWIDTH})

    async def _hand_over(self, descriptor: int) -> None:
        self._send_descriptor(descriptor)
        await self._execute("getfd", {"fdname": _DESCRIPTOR})


def _table(answer: object) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else {}


def _save_failed(path: Path, words: str) -> BangerError:
    said = printable(words, LINE_MAX)
    if any(full in words for full in _FULL):
        hint = f"free some space: df -h {path.parent}"
        return BangerError(Code.NO_SPACE, f"no space left for {path}: {said}", hint=hint)
    return BangerError(Code.INTERNAL, f"QEMU could not save the guest: {said}")
