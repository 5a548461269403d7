"""``python -m services.vm_supervisor``: wait for a VM on stdin, then supervise it.

The api keeps one such process ready, so that a new VM does not wait for an interpreter. Therefore
everything is imported before stdin is read. End of file without a VM means that the api has ended.
"""

import sys

import msgspec

from services.vm_supervisor.drivers.registry import import_ahead
from services.vm_supervisor.service import Supervisor
from shared.bus.runner import start_service
from shared.contract.messages.machine import SupervisorSpec
from shared.paths import Paths
from shared.vm import files


def main() -> int:
    import_ahead()
    handed = sys.stdin.buffer.read()
    if not handed:
        return 0
    spec = msgspec.msgpack.decode(handed, type=SupervisorSpec)
    paths = Paths.from_environment()
    return start_service(
        f"vm:{spec.vm.id}",
        paths,
        lambda log, config: Supervisor(paths, log, config, spec),
        member=True,
        log_file=paths.vm_state(spec.vm.id) / files.SUPERVISOR_LOG,
    )


if __name__ == "__main__":
    sys.exit(main())
