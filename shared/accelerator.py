"""Which accelerator QEMU shall use: KVM when it really runs a guest here, else TCG.

/dev/kvm that opens is no proof: on some hosts it creates a VM that never runs. So a guest is
booted once per boot of the host and per kernel, and the answer kept in the run directory.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Accel(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Accelerator:
    """The choice and why, for doctor."""

    accel: Accel
    reason: str


def detect(kernel: Path, run: Path) -> Accelerator:
    """Boot ``kernel`` (a kernel directory) under KVM; answer from the cache in ``run`` if there.

    Takes at most about six seconds, once per boot of the host.
    """
    raise NotImplementedError
