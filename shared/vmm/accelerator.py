"""What executes a guest's instructions: the processor itself (KVM) or an emulation of it (TCG)."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KVM = Path("/dev/kvm")


class Accel(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Accelerator:
    """The choice and why, for doctor; ``tsc_khz`` is what an emulated guest must be told."""

    accel: Accel
    reason: str
    tsc_khz: int | None = None


def kvm_obstacle(device: Path = KVM) -> str | None:
    """Why KVM cannot even be tried, or None: no device, or no right to open it."""
    if not device.exists():
        return f"{device} does not exist: no virtualisation, or the kvm module is not loaded"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no access to {device}: add yourself to the group of {device} ({_group(device)})"
    return None


def _group(device: Path) -> str:
    try:
        return device.group()
    except KeyError:
        return f"gid {device.stat().st_gid}"
