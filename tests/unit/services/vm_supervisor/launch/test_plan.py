"""What a launch loads, and what its handle says."""

from typing import Any, cast

import pytest

from services.vm_supervisor.drivers.contract import Driver, Machine
from services.vm_supervisor.launch.plan import LaunchPlan
from shared.vm import files
from shared.vm.handle import Beginning
from shared.vm.saved import MachineFacts
from tests.unit.services.vm_supervisor.drivers.qemu.test_argv import SPEC
from tests.unit.services.vm_supervisor.launch.test_launcher import ScriptedDriver, ScriptedMachine
from tests.unit.shared.vm.test_handle import own_handle
from tests.unit.shared.vm.test_saved import FACTS


def plan(beginning: Beginning) -> tuple[LaunchPlan, Machine]:
    machine = ScriptedMachine(None)
    driver = cast(Driver, ScriptedDriver(machine))
    made = LaunchPlan(driver, SPEC, own_handle().access, MachineFacts(**FACTS), beginning)
    return made, cast(Any, machine)


def test_a_boot_loads_nothing() -> None:
    made, machine = plan("boot")
    assert made.saved is None
    handle = made.handle_of(machine)
    assert (handle.beginning, handle.loading, handle.ready) == ("boot", False, False)
    assert handle.facts == MachineFacts(**FACTS)


@pytest.mark.parametrize("beginning", ["resumed", "copy"])
def test_another_beginning_loads_what_the_vm_has(beginning: Beginning) -> None:
    made, machine = plan(beginning)
    assert made.saved == SPEC.state / files.SUSPENDED
    handle = made.handle_of(machine)
    assert (handle.beginning, handle.loading) == (beginning, True)
    assert (handle.pid, handle.vmm) == (machine.process.pid, "paper")
