"""Which driver belongs to which VMM, and when its code is loaded."""

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from services.vm_supervisor.drivers.registry import MODULES, make_driver
from shared.config import Config
from shared.host.process import ProcessId
from shared.vmm.registry import VMMS

_IMPORTED = f"""
import json, sys
from services.vm_supervisor.drivers import registry
modules = {sorted(MODULES.values())}
before = [name for name in modules if name in sys.modules]
registry.import_ahead()
print(json.dumps([before, [name for name in modules if name in sys.modules]]))
"""


class NoJailer:
    """A nat that is not there."""

    async def jail(self, vm_id: str, bases: Sequence[str]) -> ProcessId:
        raise AssertionError("making a driver jails nothing")

    async def signal(self, vm_id: str, signum: int) -> None:
        raise AssertionError("making a driver signals nothing")


def test_every_vmm_has_a_driver_and_every_driver_a_vmm() -> None:
    assert sorted(MODULES) == sorted(info.name for info in VMMS)


@pytest.mark.parametrize("name", MODULES)
def test_driver_is_the_one_of_the_vmm_that_was_named(name: str) -> None:
    assert make_driver(name, Config(), NoJailer()).info.name == name


def test_supervisor_loads_no_driver_but_the_one_that_runs_everywhere() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True, timeout=50
    )
    assert json.loads(run.stdout) == [[], [MODULES["qemu"]]]
