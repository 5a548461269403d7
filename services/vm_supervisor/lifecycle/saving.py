"""How a VM is written to disk: suspended, saved for a snapshot or a copy, and restored.

A guest that was paused to be saved is resumed whatever fails, with one exception: once the memory
of a suspended VM is published, its guest must not run, because the disks would no longer fit the
memory (docs/decisions/0053, 0054).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from services.vm_supervisor.disks import copies
from services.vm_supervisor.disks.placement import replacement
from services.vm_supervisor.disks.uninterrupted import entered, in_thread, to_its_end
from services.vm_supervisor.guest.agent import SHELL
from services.vm_supervisor.launch.facts import facts_of_disks, refuse_different, with_own_sizes
from services.vm_supervisor.launch.launcher import ReportProgress
from services.vm_supervisor.lifecycle.guest_tasks import set_clock
from services.vm_supervisor.lifecycle.reports import guest_memory
from services.vm_supervisor.lifecycle.vm_life import VmLife
from services.vm_supervisor.ports.connections import in_use
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.lifecycle import Action, check
from shared.contract.messages.machine import MachineSaved
from shared.errors import BangerError, Code
from shared.host.files import sync
from shared.logs import now_rfc3339
from shared.vm import files
from shared.vm.asleep import Asleep, write_asleep
from shared.vm.at_rest import state_at_rest
from shared.vm.publish_saved import discard, draft, publish
from shared.vm.saved import (
    CopyMethod,
    MachineFacts,
    SavedMachine,
    describe_files,
    memory_form,
    read_saved,
)

SYNC_SECONDS = 20.0
"""How long the guest may take to sync its disks, before they are copied without its memory."""
MIB = 1 << 20


class Saving:
    """Saves one VM, and restores it. Blocking work runs in threads."""

    def __init__(self, life: VmLife) -> None:
        self._life = life

    async def suspend(self, report: ReportProgress, *, asleep: str | None = None) -> None:
        """Save the guest's memory and end its VMM. A cancel has no effect once the memory is
        published.

        ``asleep``: why the VM is not needed now; it wakes up when it is used. Without ``asleep``,
        a VM that is asleep stays suspended and no longer wakes up.

        Raises:
            BangerError: ``no_space``, before the guest is paused; ``conflict`` and ``not_running``
                as in the table of states; ``conflict`` for a VM that is to fall asleep and is in
                use. The guest runs on after any of them.
        """
        life = self._life
        life.refuse_if_over()
        if not check(life.vm.name, life.state, Action.SUSPEND):
            if life.asleep and asleep is None:
                await self._stay_suspended()
            return
        async with life.changing:
            life.refuse_if_over()
            try:
                await self._write_memory(report, asleep)
            except asyncio.CancelledError:
                if not self._is_suspended:
                    raise
            await to_its_end(self._end_vmm())

    async def _stay_suspended(self) -> None:
        self._life.end_sleep()
        await self._life.report("suspended")
        self._life.process.spawn(self._life.finish())

    async def _write_memory(self, report: ReportProgress, reason: str | None) -> None:
        life, running = self._life, self._machine()
        facts = _facts_of_memory(running, life.vm.name)
        await in_thread(self._require_memory_room, running)
        report("save", "saving the memory")
        async with entered(draft(life.directory)) as work, self._still(running):
            began = time.monotonic()
            await running.machine.save(work)
            await running.machine.collect(work)
            if reason is not None:
                await in_thread(self._note_asleep, work, running, reason)
            await in_thread(self._publish_suspended, work, facts, began)

    def _note_asleep(self, work: Path, running: RunningVm, reason: str) -> None:
        """Write the note that the VM is asleep. Raises ``conflict`` when it has connections."""
        vm, handle = self._life.vm, running.handle
        if in_use(vm, handle):
            raise BangerError(Code.CONFLICT, f"{vm.name} is in use")
        write_asleep(work, Asleep(reason=reason, access=handle.access, ports=handle.ports))

    def _publish_suspended(self, work: Path, facts: MachineFacts, began: float) -> None:
        directory = self._life.directory
        for name in copies.DISKS:
            sync(directory / name)
        saved = self._described(work, facts, time.monotonic() - began, "")
        publish(work, directory / files.SUSPENDED, saved)

    async def save(self, target: Path, *, memory: bool, report: ReportProgress) -> MachineSaved:
        """Save the machine as it is now into the new directory ``target``.

        ``memory``: save that too, if the VM has any.

        Raises:
            BangerError: ``conflict`` when ``target`` exists, ``no_space``, and as in the table of
                states. After any of them the guest runs on, and this has made no ``target``.
        """
        life = self._life
        life.refuse_if_over()
        check(life.vm.name, life.state, Action.SNAPSHOT)
        async with life.changing:
            life.refuse_if_over()
            if target.exists():
                raise BangerError(Code.CONFLICT, f"{target} already exists")
            async with entered(draft(target.parent)) as work:
                if life.running:
                    taken = await self._take(life.running, work, report, memory=memory)
                else:
                    taken = await in_thread(self._take_at_rest, work, memory)
                facts, pause, copied = taken
                saved = await in_thread(self._described, work, facts, pause, copied)
                await in_thread(publish, work, target, saved)
        return MachineSaved(
            memory=saved.memory is not None,
            pause_seconds=saved.pause_seconds,
            copied=copied,
            real_bytes=await in_thread(copies.real_bytes, target),
        )

    async def _take(
        self, running: RunningVm, work: Path, report: ReportProgress, *, memory: bool
    ) -> tuple[MachineFacts, float, CopyMethod]:
        """Copy a machine that has a VMM. Returns its facts, the seconds for which the guest was
        paused, and how the disks were copied."""
        life = self._life
        facts = facts_of_disks(life.spec)
        if memory:
            facts = _facts_of_memory(running, life.vm.name)
        await in_thread(self._require_room, work, running if memory else None)
        report("save", "saving memory and disks" if memory else "saving the disks")
        if not memory:
            await self._sync_guest()
        try:
            async with self._still(running):
                began = time.monotonic()
                if memory:
                    await running.machine.save(work)
                copied = await in_thread(copies.copy_disks, life.directory, work)
                await in_thread(copies.link_workspaces, life.directory, work)
                pause = time.monotonic() - began
        finally:
            if memory:
                await running.machine.collect(work)
        return facts, pause if life.state != "paused" else 0.0, copied

    def _take_at_rest(self, work: Path, memory: bool) -> tuple[MachineFacts, float, CopyMethod]:
        """Copy a machine without a VMM, with its memory if it is suspended. As ``_take``."""
        life = self._life
        facts = facts_of_disks(life.spec)
        self._require_room(work, None)
        suspended = life.directory / files.SUSPENDED
        if memory and state_at_rest(life.directory) == "suspended":
            facts = read_saved(suspended, check=False)
            copies.link_memory(suspended, work)
        copies.link_workspaces(life.directory, work)
        return facts, 0.0, copies.copy_disks(life.directory, work)

    async def restore(self, source: Path, *, memory: bool, report: ReportProgress) -> None:
        """End the VMM and replace the VM by the saved machine in ``source``. It is suspended then,
        or stopped without memory. A cancel has no effect once the VMM is being ended.

        ``memory``: False for the disks only.

        Raises:
            BangerError: ``invalid`` when ``source`` is damaged, ``incompatible`` with what differs,
                ``no_space``. Nothing has changed then.
        """
        life = self._life
        life.refuse_if_over()
        check(life.vm.name, life.state, Action.RESTORE)
        report("restore", "checking what was saved")
        saved = await in_thread(read_saved, source, memory=memory)
        await self._refuse_different(saved, source)
        async with life.changing:
            life.refuse_if_over()
            report("restore", "copying the disks")
            async with entered(replacement(source, saved, life.directory)) as put_in_place:
                await to_its_end(self._become(put_in_place))
        life.process.spawn(life.finish())

    async def _become(self, put_in_place: Callable[[], None]) -> None:
        """Must run to its end: nothing restarts the VMM that it ends."""
        await self._end_vmm()
        self._life.end_sleep()
        await in_thread(put_in_place)
        await self._life.report(state_at_rest(self._life.directory))

    async def discard(self) -> None:
        """Discard the memory of a suspended VM, which is stopped then."""
        life = self._life
        life.refuse_if_over()
        async with life.changing:
            if life.running is None:
                life.refuse_if_over()
                life.end_sleep()
                await in_thread(discard, life.directory / files.SUSPENDED)
                await life.report(state_at_rest(life.directory))
                life.process.spawn(life.finish())

    # -- parts ------------------------------------------------------------------------------

    @property
    def _is_suspended(self) -> bool:
        """Whether the memory is published. If so, no guest may run on with these disks."""
        return state_at_rest(self._life.directory) == "suspended"

    async def _end_vmm(self) -> None:
        if running := self._life.running:
            self._life.end_asked = True
            running.machine.kill()
            await self._life.over.wait()

    def _machine(self) -> RunningVm:
        running = self._life.running
        if running is None:  # it has ended while this waited
            raise BangerError(Code.NOT_RUNNING, f"{self._life.vm.name} is not running")
        return running

    @asynccontextmanager
    async def _still(self, running: RunningVm) -> AsyncIterator[None]:
        """Inside, the guest is paused. Afterwards it is resumed, with its clock set, unless it was
        paused before, has ended, or is suspended now."""
        life = self._life
        if life.state == "paused":
            yield
            return
        async with life.agent_parted():
            try:
                await running.machine.pause()
                yield
            finally:
                if life.running is running and not self._is_suspended:
                    await self._resume(running)

    async def _resume(self, running: RunningVm) -> None:
        try:
            await running.machine.resume()
        except BangerError as error:
            if error.code is not Code.NOT_RUNNING:  # it was killed meanwhile
                raise
        else:
            if agent := self._life.agent:
                self._life.tasks.run_once("clock", partial(set_clock, agent, self._life.log))

    async def _sync_guest(self) -> None:
        """Have the guest sync its disks. If it does not answer, the copies are as after a power
        cut, from which journals recover."""
        life = self._life
        if life.agent is None or life.state == "paused":
            return
        try:
            await life.agent.execute([SHELL, "-c", "sync"], time.monotonic() + SYNC_SECONDS)
        except BangerError as error:
            life.log.warning("the guest did not sync its disks", error=error.message)

    def _require_memory_room(self, running: RunningVm) -> None:
        needed = self._memory_bytes(running)
        copies.require_room(self._life.directory, needed, "the memory of the guest")

    def _require_room(self, work: Path, running: RunningVm | None) -> None:
        """Raises ``no_space`` unless copies of the disks, and of the memory of ``running``, fit."""
        needed = self._memory_bytes(running) if running else 0
        if not copies.shares_blocks(work):
            needed += copies.disk_bytes(self._life.directory)
        copies.require_room(work, needed, "a copy of the VM")

    def _memory_bytes(self, running: RunningVm) -> int:
        memory_mib = self._life.vm.memory_mib
        known = guest_memory(running.handle.pid, memory_mib)
        return known.resident if known else memory_mib * MIB

    def _described(
        self, work: Path, facts: MachineFacts, pause: float, copied: CopyMethod | Literal[""]
    ) -> SavedMachine:
        """The description of the draft ``work``. Reads all of the memory for its checksum.

        ``pause``: seconds for which the guest was paused.
        """
        vm = self._life.vm
        known = {name: getattr(facts, name) for name in MachineFacts.__struct_fields__}
        return SavedMachine(
            **known,
            vm_id=vm.id,
            vm_name=vm.name,
            memory=memory_form(work),
            files=describe_files(work),
            created=now_rfc3339(),
            pause_seconds=round(pause, 6),
            copied=copied,
        )

    async def _refuse_different(self, saved: SavedMachine, source: Path) -> None:
        """Raises ``incompatible``, with all that differs, unless the VM can become ``saved``."""
        life = self._life
        wanted, hint = facts_of_disks(life.spec), ""
        if saved.memory is not None:
            wanted = await life.launcher.facts(life.spec, saved.vmm)
            if saved.vm_id == life.vm.id:
                restore = f"banger vm snapshot restore --disk {life.vm.name} {source.name}"
                hint = f"restore only its disks: {restore}"
        refuse_different(saved, with_own_sizes(saved, wanted), life.vm.name, hint)


def _facts_of_memory(running: RunningVm, name: str) -> MachineFacts:
    """What was recorded of the machine at its launch. Raises ``conflict`` when nothing was."""
    if running.handle.facts is None:
        raise BangerError(
            Code.CONFLICT,
            f"the memory of {name} cannot be saved: its VMM was started by an older version of "
            "banger, or did not report its version",
            hint=f"restart it: banger vm restart {name}",
        )
    return running.handle.facts
