"""A VM of an ordinary user from its supervisor's point of view: started, taken over, killed.

The supervisor is the real one, as a process of the user's. The guest never answers here, since no
guest runs; what is seen is a VMM that boots.
"""

import asyncio
import os
import signal
import threading
from typing import Any

import msgspec

from services.vm_supervisor.drivers.firecracker.requests import ApiRequest
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.process import start_time
from shared.vm.handle import read_handle
from shared.vm.jail import is_jailed
from shared.vmm.probe import BootScopedCache
from tests.contract.prison import IMAGE, KERNEL, NEEDED, VM, Prison
from tests.integration.users import ONE
from tests.waiting import eventually

pytestmark = NEEDED
DESCRIBE = ApiRequest("GET", "/", {})
SUPERVISOR = f"vm:{VM}"


def start_supervisor(prison: Prison) -> None:
    rows = prison.call("store", "vm.list")["vms"]
    data = prison.one.paths.data
    spec = SupervisorSpec(
        vm=msgspec.convert(rows[0], Vm),
        image=str(data / "images" / IMAGE),
        kernel=str(data / "kernels" / KERNEL),
    )
    prison.one.start_supervisor(SUPERVISOR, msgspec.msgpack.encode(spec))


def say_that_kvm_runs_guests(prison: Prison) -> None:
    """As if a probe guest had given its sign."""
    note = prison.one.paths.run / "firecracker.json"
    BootScopedCache(note, f"{KERNEL} {prison.one.host}/firecracker").write({"failure": None})
    os.chown(note, ONE, ONE)


def runs(prison: Prison) -> bool:
    try:
        described = asyncio.run(prison.ask(DESCRIBE))
    except BangerError:
        return False  # its socket is not there yet
    return bool(described["state"] == "Running")


class Start(threading.Thread):
    """``machine.start`` in the background, and what came of it."""

    def __init__(self, prison: Prison) -> None:
        super().__init__()
        self._prison = prison
        self.outcome: Any = None

    def run(self) -> None:
        try:
            self.outcome = self._prison.call(SUPERVISOR, "machine.start")
        except BangerError as error:
            self.outcome = error


def test_a_users_supervisor_jails_its_vmm_is_replaced_and_ends_it(prison: Prison) -> None:
    say_that_kvm_runs_guests(prison)
    start_supervisor(prison)
    start = Start(prison)
    start.start()
    eventually(lambda: read_handle(prison.run) or start.outcome)
    handle = read_handle(prison.run)
    assert handle, start.outcome
    eventually(lambda: is_jailed(handle.process))
    eventually(lambda: runs(prison))
    assert handle.vmm == "firecracker"
    prison.one.stack.kill(SUPERVISOR)
    start.join(20)
    assert isinstance(start.outcome, BangerError)
    assert start.outcome.code is Code.UNAVAILABLE
    assert handle.alive
    start_supervisor(prison)
    assert prison.ping(SUPERVISOR)["state"] == "starting"
    prison.call(SUPERVISOR, "machine.kill", signal=int(signal.SIGKILL))
    assert prison.call("store", "vm.list")["vms"][0]["state"] == "stopped"
    assert start_time(handle.pid) is None
    assert prison.one.stack.processes.pop(SUPERVISOR).wait(10) == 0
    eventually(lambda: not prison.leftovers())


def test_a_jail_that_cannot_be_made_is_told_and_leaves_the_vm_as_it_was(prison: Prison) -> None:
    say_that_kvm_runs_guests(prison)
    with prison.other_jailer("no-jailer-here"):
        start_supervisor(prison)
        error = prison.refusal(SUPERVISOR, "machine.start")
        assert error.code is Code.MISSING_TOOL
        assert "no-jailer-here" in error.message
        assert prison.one.stack.processes.pop(SUPERVISOR).wait(10) == 0
        assert prison.call("store", "vm.list")["vms"][0]["state"] == "created"
