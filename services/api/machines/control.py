"""The running side of VMs, as the api sees it: boot, stop, end and remove through supervisors."""

import asyncio
import contextlib
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from services.api.machines.supervisors import Supervisors
from services.api.vm_view import vmm_of
from shared.bus.actor import Actor
from shared.bus.handlers import Call
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.contract.verb import Request
from shared.contract.verbs import nat, store, supervisor
from shared.errors import BangerError, Code
from shared.host.cgroup import release
from shared.host.process import ENDING, Watch
from shared.host.retry import RetryWindow
from shared.paths import Paths
from shared.vm.handle import remove_handle

QUICK = 30.0
"""Seconds for an answer that needs no guest."""
KILL_SECONDS = 10.0
"""What a supervisor gets to end its VMM before both are ended without its help."""
LOST_SECONDS = 30.0
"""How long a supervisor that is not there is asked again: it or the broker was killed."""
SUCCESSOR_SECONDS = 20.0
"""What the successor of a killed supervisor may take to be started."""
AGAIN = 0.02


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
        window = RetryWindow(LOST_SECONDS, pause=AGAIN)
        while True:
            await self._supervisors.ensure(supervisor_spec(vm, self._actor.paths))
            try:
                await self.ask(vm, supervisor.START(), call)
                return
            except BangerError as error:
                # That one was leaving, or was killed while the guest booted: ask its successor.
                # Or the broker was: ask again, which joins the boot under way.
                await window.wait_or_raise(error)

    async def stop(self, vm: Vm, seconds: float, call: Call) -> None:
        """Power off, and after ``seconds`` end the VMM; returns when its supervisor is gone."""
        window = RetryWindow(LOST_SECONDS, pause=AGAIN)
        while await self._supervised(vm) or await self._taken_over(vm):
            try:
                await self.ask(vm, supervisor.STOP(timeout=seconds), call)
                await self._supervisors.ended(vm.id)
                return
            except BangerError as error:
                # The guest was quicker than we, or as in ``boot``.
                await window.wait_or_raise(error)
        await self._end_orphan(vm)

    async def ask_if_up(self, vm: Vm, request: Request[None], call: Call) -> bool:
        """Ask the supervisor, or its successor; False when the VM does not run."""
        window = RetryWindow(LOST_SECONDS, pause=AGAIN)
        while await self._supervised(vm):
            try:
                await self.ask(vm, request, call)
                return True
            except BangerError as error:
                if error.code is Code.NOT_RUNNING:
                    return False
                await window.wait_or_raise(error)  # as in ``boot``
        return False

    async def ask_until_over(self, vm: Vm, request: Request[None], call: Call) -> None:
        """As ``ask_if_up``, but a VM that has no VMM just now, since it boots or its guest reboots
        itself, is asked when it has."""
        while not await self.ask_if_up(vm, request, call):
            if not self._supervisors.knows(vm.id):
                return
            await asyncio.sleep(AGAIN)

    async def _supervised(self, vm: Vm) -> bool:
        """Whether a supervisor serves the VM; a VMM that lost its own gets another in a moment."""
        limit = time.monotonic() + SUCCESSOR_SECONDS
        while not self._supervisors.knows(vm.id) and vmm_of(vm.id, self._actor.paths):
            if time.monotonic() > limit or self._supervisors.has_given_up(vm.id):
                return False
            await asyncio.sleep(AGAIN)
        await self._supervisors.settle(vm.id)
        return self._supervisors.serves(vm.id)

    async def _taken_over(self, vm: Vm) -> bool:
        """Whether a VMM whose supervisor was lost has another one now: without, its guest could
        only be cut off."""
        if vmm_of(vm.id, self._actor.paths) is None:
            return False
        try:
            await self._supervisors.ensure(supervisor_spec(vm, self._actor.paths))
        except BangerError as error:
            self._actor.log.warning("not taken over", vm=vm.id, error=error.message)
            return False
        return True

    async def end(self, vm: Vm, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal the VMM, whatever the deadline of the call that wants it.

        Returns when the VMM has ended, if the signal ends one. SIGKILL works without the
        supervisor's help, too: one that does not answer is killed with its VMM.
        """
        window = RetryWindow(LOST_SECONDS, pause=AGAIN)
        while await self._supervised(vm):
            deadline = time.monotonic() + KILL_SECONDS
            try:
                await self._actor.ask(supervisor.KILL(signal=number).at(vm.id), deadline=deadline)
                if number in ENDING:
                    await self._supervisors.ended(vm.id)
                return
            except BangerError as error:
                if error.code is Code.TIMEOUT and number == signal.SIGKILL:
                    self._supervisors.kill(vm.id)
                    await self._supervisors.ended(vm.id)
                    break
                # It was about to end by itself, or as in ``boot``.
                await window.wait_or_raise(error)
        await self._end_orphan(vm, number)

    async def _end_orphan(self, vm: Vm, number: signal.Signals = signal.SIGKILL) -> None:
        """A VMM whose supervisor could not be kept: signalled by pidfd."""
        process = vmm_of(vm.id, self._actor.paths)
        if process is None:
            return
        try:
            watch = Watch(process)
        except BangerError:
            return  # it ended this moment
        with contextlib.closing(watch):
            await self._signal(vm, watch, number)
            if number not in ENDING:
                return
            await watch.ended()
        remove_handle(self._actor.paths.vm_run(vm.id))
        await self._actor.ask(store.VM_UPDATE(id=vm.id, state="stopped", reason=""))

    async def _signal(self, vm: Vm, watch: Watch, number: signal.Signals) -> None:
        """A jailed VMM has a uid of its own: nat, which made the jail, may signal it."""
        try:
            watch.kill(number)
        except PermissionError:
            try:
                await self._actor.ask(nat.UNJAIL(id=vm.id, signal=number))
            except BangerError as error:
                if error.code is not Code.NOT_RUNNING:  # it ended this moment
                    raise

    async def remove_files(self, vm: Vm) -> None:
        """Disks, keys, logs and sockets of a VM that does not run."""
        paths = self._actor.paths
        paths.known_hosts_of(vm.name).unlink(missing_ok=True)
        for directory in (paths.vm_run(vm.id), paths.vm_state(vm.id)):
            await asyncio.to_thread(_remove_tree, directory)
        await asyncio.to_thread(release, vm.id)

    def forget(self, vm_id: str) -> None:
        """The VM is gone; so is its lock, which nobody may hold any more."""
        self._locks.pop(vm_id, None)

    async def ask(self, vm: Vm, request: Request[None], call: Call) -> None:
        """Ask the VM's supervisor within the deadline of ``call``, and pass its progress on."""
        await self._actor.ask(request.at(vm.id), deadline=call.deadline, on_partial=call.progress)


def _remove_tree(directory: Path) -> None:
    shutil.rmtree(directory, onerror=_unless_gone)


def _unless_gone(_function: Any, _path: str, error: Any) -> None:
    """A file that is gone already is what we want (rmtree's onerror)."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
