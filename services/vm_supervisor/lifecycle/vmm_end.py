"""The end of a VMM: what it means for the VM, and what is removed after it."""

import asyncio
from functools import partial
from pathlib import Path

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from services.vm_supervisor.guest.ssh import stop_master
from services.vm_supervisor.running_vm import RunningVm
from shared.bus.background import contain
from shared.contract.messages.vm import State
from shared.host.cgroup import release
from shared.logs import Log
from shared.vm import files
from shared.vm.handle import remove_handle


def is_reboot(end: VmmExit, *, ready: bool, asked: bool) -> bool:
    """Whether the guest has asked for a reset and is to be launched again.

    ``ready``: whether the guest had ever answered. ``asked``: whether somebody asked for the end.
    """
    return end.reason is ExitReason.REBOOT and ready and not asked


def final_state(
    end: VmmExit, at_rest: State, *, ready: bool, asked: bool, trouble: str
) -> tuple[State, str]:
    """The VM's state and the reason for it. A guest may power itself off once it was ``ready``.

    ``at_rest``: what its files say; ``trouble``: what went wrong before the VMM was ended for it,
    if anything did.
    """
    if at_rest == "suspended":  # whatever ended the VMM: no guest has run since
        return at_rest, ""
    if asked or (end.reason is ExitReason.POWEROFF and ready):
        return "stopped", ""
    return "failed", trouble or end.detail


async def clean_up(running: RunningVm, run: Path, log: Log) -> None:
    """End the ssh master and remove what only a running VMM has: handle, initrd, control group.
    A step that fails is logged, and the others are taken."""

    async def remove_files() -> None:
        remove_initrd(run)
        remove_handle(run)

    async def leave_group() -> None:
        await asyncio.to_thread(release, running.handle.vm_id)

    # A master that stands still answers nobody. It goes with the handle.
    if running.handle.halted is None:
        await contain("end ssh", partial(stop_master, running.access), log)
    await contain("close the VMM", running.machine.close, log)
    await contain("remove the handle", remove_files, log)
    await contain("remove the control group", leave_group, log)


def remove_initrd(run: Path) -> None:
    """The VMM has read it; it holds the guest's host key, and space of the run directory."""
    (run / files.INITRD).unlink(missing_ok=True)
