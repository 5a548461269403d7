"""``python -m services.vm_supervisor``: wait for a VM on stdin, then supervise it.

Everything is imported before stdin is read: the api keeps one such process ready, so that a new VM
does not wait for an interpreter. End of file without a VM means that the api is gone.
"""

import sys

import msgspec

from services.vm_supervisor.drivers.contract import Driver, Warden
from services.vm_supervisor.drivers.qemu.driver import QemuDriver
from services.vm_supervisor.launch.launcher import Drivers
from services.vm_supervisor.service import Supervisor
from shared.bus.runner import start_service
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import VmmName
from shared.paths import Paths
from shared.vm import files


def drivers(config: Config) -> Drivers:
    """Makes the driver of a VMM. Firecracker's is imported where it is used: it costs memory."""

    def make(vmm: VmmName, warden: Warden) -> Driver:
        if vmm == "qemu":
            return QemuDriver(config.qemu_bin)
        from services.vm_supervisor.drivers.firecracker.jail import JailingDriver

        return JailingDriver(config.firecracker_bin, config.firecracker, warden)

    return make


def main() -> int:
    handed = sys.stdin.buffer.read()
    if not handed:
        return 0
    spec = msgspec.msgpack.decode(handed, type=SupervisorSpec)
    paths = Paths.from_environment()
    return start_service(
        f"vm:{spec.vm.id}",
        paths,
        lambda log, config: Supervisor(paths, log, config, spec, drivers(config)),
        log_file=paths.vm_state(spec.vm.id) / files.SUPERVISOR_LOG,
    )


if __name__ == "__main__":
    sys.exit(main())
