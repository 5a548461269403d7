"""A guest that is loaded from a snapshot by hand, with the command line that the product uses."""

import asyncio
from pathlib import Path

from benchmarks.harness.by_hand import QemuByHand, answered
from services.vm_supervisor.drivers.qemu.control import QmpControl
from services.vm_supervisor.drivers.qemu.migration import Migration
from shared.host.process import ProcessId, Watch, start_time
from shared.vm import files
from shared.vm.sparse import copy_sparse
from tests.home import Home


class LoadedByHand(QemuByHand):
    """The QEMU of a VM that was resumed (so that its command line waits for a memory), on copies of
    what is in ``snapshot``. ``prepare`` comes before each ``boot``."""

    def __init__(self, home: Home, name: str, snapshot: Path) -> None:
        super().__init__(home, name)
        self._snapshot = snapshot

    def prepare(self) -> None:
        """End the guest if it runs, and make its files anew."""
        self.close()
        suspended = self._directory / files.SUSPENDED
        suspended.mkdir(parents=True)
        for file in (files.MEMORY, files.DEVICE_STATE):
            (suspended / file).hardlink_to(self._snapshot / file)
        for disk in (files.OVERLAY, files.WORK_DISK):
            copy_sparse(self._snapshot / disk, self._directory / disk)

    def boot(self) -> None:
        """Start QEMU and load the memory; return when the guest's agent has answered."""
        pid = self._launch()
        asyncio.run(self._load(ProcessId(pid, start_time(pid) or 0)))

    async def _load(self, process: ProcessId) -> None:
        watch = Watch(process)
        control = QmpControl(watch, self._directory / files.QMP_SOCKET)
        try:
            await control.connect()
            migration = Migration(control.execute, control.send_descriptor)
            await migration.load(self._directory / files.SUSPENDED)
            await control.execute("cont")
            await answered(self._agent)
        finally:
            await control.disconnect()
            watch.close()
