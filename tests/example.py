"""One VM's row for tests to vary."""

from typing import Any

import msgspec

from shared.contract.messages.vm import Vm

_EXAMPLE = Vm(
    id="0123456789ab",
    name="beta",
    state="stopped",
    image_id="i",
    image_name="debian",
    kernel_id="k",
    vcpu=1,
    memory_mib=512,
    disk_bytes=1,
    overlay_bytes=1,
    network="user",
    address="127.77.0.2",
    nat=False,
    created_at="2026-11-22T00:00:00Z",
)


def example_vm(**changes: Any) -> Vm:
    """The example with ``changes``, fields of ``Vm``."""
    return msgspec.structs.replace(_EXAMPLE, **changes)
