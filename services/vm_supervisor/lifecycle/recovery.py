"""How a supervisor takes over a VMM that an earlier supervisor launched."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.launch.launcher import VmmLauncher, access_to
from services.vm_supervisor.launch.readiness import open_session, reach_agent
from services.vm_supervisor.lifecycle.live_changes import set_uplink
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.boot_id import host_boot_id
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from shared.vm.at_rest import state_at_rest
from shared.vm.handle import Handle, read_handle, remove_handle
from shared.vmm.search import find_vmm

RETRY_SECONDS = 5.0
"""Between two attempts to reach the guest."""
UPLINK_SECONDS = 10.0
"""What the VMM may take to open or close the guest's way out."""


async def take_over(launcher: VmmLauncher, vm: Vm) -> RunningVm | None:
    """The VM's running VMM; None, and its handle removed, when there is none."""
    run = launcher.paths.vm_run(vm.id)
    handle = read_handle(run) or rediscover(vm, launcher.paths)
    if handle and handle.alive:
        try:
            running = await launcher.adopt(handle)
            if state_at_rest(launcher.paths.vm_state(vm.id)) == "stopped":
                return running
            await _end(running)  # no guest has run since its memory was published
        except BangerError as error:
            # not_running: it ended this moment, or its guest was never started.
            if error.code is not Code.NOT_RUNNING:
                raise
    remove_handle(run)
    return None


async def _end(running: RunningVm) -> None:
    running.machine.kill()
    await running.machine.ended()
    await running.machine.close()


async def let_go_on(running: RunningVm, vm: Vm, log: Log) -> None:
    """Let a guest run that stands still because the process that saved or started it has died."""
    if vm.state == "paused":
        return
    try:
        await running.machine.resume()
    except BangerError as error:
        log.warning("the guest may stand still", error=error.message)


def rediscover(vm: Vm, paths: Paths) -> Handle | None:
    """A new handle for a VMM whose handle and copy are damaged; None when no VMM runs.

    What only the old handle knew (forwards, the guest's boot id) is found or made again later.
    """
    found = find_vmm(vm.id)
    if found is None:
        return None
    console = paths.vm_state(vm.id) / files.CONSOLE_LOG
    copied = vm.origin or (vm.template and vm.keeper != "template")
    return Handle(
        vm_id=vm.id,
        host_boot=host_boot_id(),
        pid=found.process.pid,
        start_time=found.process.start_time,
        vmm=found.info.name,
        accel=found.traces.accel,
        access=access_to(paths, vm.id, vm.address, found.traces.ssh_port),
        # Where this boot's output began is lost: from here on, an old panic is not this boot's.
        console_start=console.stat().st_size if console.exists() else 0,
        ready=vm.state in ("running", "paused"),
        beginning="copy" if copied and vm.state == "starting" else "boot",
        publish=vm.publish,
    )


async def restore_uplink(running: RunningVm, vm: Vm, log: Log) -> None:
    """``set_uplink`` after a takeover: the process that changed the row may have died before it
    told the VMM."""
    try:
        async with asyncio.timeout(UPLINK_SECONDS):
            await set_uplink(running, vm)
    except (BangerError, TimeoutError) as error:
        log.warning("the guest's way out may not be what it should", error=str(error))


async def reach_again(
    running: RunningVm, disks: Path, seconds: float, log: Log, reached: Callable[[Agent], None]
) -> None:
    """Try to reach the guest until it answers, ``seconds`` each time: slow is not dead.

    ``reached`` is called when the agent has answered. sshd comes after it, or never again.
    """
    agent: Agent | None = None
    while True:
        deadline = time.monotonic() + seconds
        try:
            if agent is None:
                agent = await reach_agent(running, deadline)
                reached(agent)
            await open_session(running, disks, deadline)
            return
        except (BangerError, OSError) as error:
            log.warning("the guest does not answer yet", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
