"""The running side of VMs, as the api sees it: boot, stop, end and remove through supervisors."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from services.api.supervisors import Supervisors
from shared.bus.actor import Actor, Call
from shared.errors import BangerError, Code
from shared.messages.vm import MachineStatus, MachineStop, Nothing, SupervisorSpec, Vm
from shared.paths import Paths

QUICK = 10.0
"""Seconds for an answer that needs no guest."""


def supervisor_spec(vm: Vm, paths: Paths) -> SupervisorSpec:
    """What the VM's supervisor is handed."""
    return SupervisorSpec(
        vm=vm, image=str(paths.images / vm.image_id), kernel=str(paths.kernels / vm.kernel_id)
    )


class Machines:
    """Asks ``actor``'s bus; waits for supervisors to come and go."""

    def __init__(self, actor: Actor, supervisors: Supervisors) -> None:
        self._actor = actor
        self._supervisors = supervisors
        self._locks: dict[str, asyncio.Lock] = {}

    def serialised(self, vm_id: str) -> asyncio.Lock:
        """Held while a VM starts, stops or is removed: per VM, never globally."""
        return self._locks.setdefault(vm_id, asyncio.Lock())

    async def boot(self, vm: Vm, call: Call) -> None:
        """Return when the guest answers. Raises what the supervisor says."""
        for last_try in (False, True):
            await self._supervisors.ensure(supervisor_spec(vm, self._actor.paths))
            try:
                await self._ask(vm, "machine.start", Nothing(), call)
                return
            except BangerError as error:
                if last_try or error.code is not Code.UNAVAILABLE:
                    raise
                # That one was leaving, or was killed while the guest booted: ask its successor.
                await self._supervisors.ended(vm.id)

    async def stop(self, vm: Vm, seconds: float, call: Call) -> None:
        """Power off, and after ``seconds`` end the VMM; returns when its supervisor is gone."""
        if self._supervisors.serves(vm.id):
            await self._ask(vm, "machine.stop", MachineStop(timeout=seconds), call)
            await self._supervisors.ended(vm.id)

    async def end(self, vm: Vm) -> None:
        """End the VMM at once, whatever the deadline of the call that wants it."""
        if not self._supervisors.serves(vm.id):
            return
        deadline = time.monotonic() + QUICK
        try:
            await self._actor.call(
                f"vm:{vm.id}", "machine.kill", Nothing(), MachineStatus, deadline=deadline
            )
        except BangerError as error:
            if error.code is not Code.UNAVAILABLE:
                raise  # unavailable: it was about to end by itself
        await self._supervisors.ended(vm.id)

    async def status(self, vm: Vm, seconds: float) -> MachineStatus:
        """What the supervisor says within ``seconds``."""
        return await self._actor.call(
            f"vm:{vm.id}",
            "machine.status",
            Nothing(),
            MachineStatus,
            deadline=time.monotonic() + seconds,
        )

    async def remove_files(self, vm_id: str) -> None:
        """Disks, keys, logs and sockets of a VM that does not run."""
        paths = self._actor.paths
        for directory in (paths.vm_run(vm_id), paths.vm_state(vm_id)):
            await asyncio.to_thread(_remove_tree, directory)
        self._locks.pop(vm_id, None)

    async def _ask(self, vm: Vm, name: str, body: Any, call: Call) -> MachineStatus:
        return await self._actor.call(
            f"vm:{vm.id}",
            name,
            body,
            MachineStatus,
            deadline=call.deadline,
            on_partial=call.progress,
        )


def _remove_tree(directory: Path) -> None:
    shutil.rmtree(directory, onerror=_unless_gone)


def _unless_gone(_function: Any, _path: str, error: Any) -> None:
    """A file that is gone already is what we want (rmtree's onerror)."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
