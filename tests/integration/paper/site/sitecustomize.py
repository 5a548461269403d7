"""Registers the third VMM in each process, as a line in each registry would."""

from services.vm_supervisor.drivers.registry import MODULES
from shared.vmm.registry import VMMS
from tests.unit.shared.vmm.example import Paper

VMMS.insert(0, Paper())
MODULES[Paper.name] = "tests.integration.paper.driver"
