"""How a guest is asked to power off, and what becomes of a stop that its caller takes back."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from services.vm_supervisor.lifecycle.power_off import PowerOff
from services.vm_supervisor.lifecycle.vm_life import VmLife
from services.vm_supervisor.running_vm import RunningVm


class Stopping:
    """The stops of one VM: all who ask wait for the same end."""

    def __init__(self, life: VmLife) -> None:
        self._life = life
        self._stops: list[PowerOff] = []

    async def stop(
        self, running: RunningVm, limit: float, *, stored: bool, taken_back: Callable[[], bool]
    ) -> None:
        """Ask the guest to power off, and end the VMM when the guest has not until ``limit``
        (CLOCK_MONOTONIC seconds). ``stored``: the row says ``stopping`` already.

        ``taken_back`` says whether a caller that is cancelled wants the VM to run on. It does,
        unless the stop can no longer be prevented: then this returns when the VM has ended.
        """
        life = self._life
        off = PowerOff(running, lambda: life.agent, life.log, paused=life.state == "paused")
        life.end_asked = True
        # Its questions every second would cost the guest a tenth of its stop.
        life.tasks.stop_polling()
        life.process.spawn(life.report("stopping", stored=stored))
        self._stops.append(off)
        try:
            await off.run(limit)
            await life.over.wait()
        except asyncio.CancelledError:
            if not taken_back() or not await self._ends_all_the_same(running, off, limit):
                raise
        finally:
            self._stops.remove(off)

    async def _ends_all_the_same(self, running: RunningVm, off: PowerOff, limit: float) -> bool:
        """After a stop that was taken back: whether the VM ends, which has happened then.

        A guest that was told to power off cannot be told not to. Its VMM is not ended at ``limit``
        any more: the VM runs on when the guest has not powered off by then.
        """
        life = self._life
        if self._stops != [off]:
            return False  # somebody else's stop goes on
        if not off.forced and life.running is running:
            wait = limit - time.monotonic() if off.may_follow else 0.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(life.over.wait(), wait)
            if self._stops != [off]:
                return False  # another one has begun meanwhile
            if not life.over.is_set() and life.running is running:
                await self._resume_after_cancelled_stop(running, off)
                return False
        await life.over.wait()
        return True

    async def _resume_after_cancelled_stop(self, running: RunningVm, off: PowerOff) -> None:
        """A guest that follows all the same has powered itself off. One that was told to do it by
        a reset must not come up again."""
        life = self._life
        life.end_asked = off.may_follow and not running.info.powers_off
        if life.agent:
            life.tasks.start_polling(life.vm, running, life.agent)
        await life.report("running")
