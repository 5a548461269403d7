"""The rules of snapshots: names by time, snapshots in use, and what a restore loses."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import State
from shared.errors import BangerError, Code
from shared.vm import files


def name_of_time(time: str, taken: Collection[str]) -> str:
    """A free name for a snapshot of ``time``: 2026-11-29-1130, then 2026-11-29-1130-2. Pure."""
    number, name = 1, time
    while name in taken:
        number += 1
        name = f"{time}-{number}"
    return name


class SnapshotHolds:
    """The snapshots that are being restored or copied, and so must not be deleted."""

    def __init__(self) -> None:
        self._held: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def held(self, vm_id: str, name: str) -> Iterator[None]:
        """Inside, ``refuse_held`` refuses the snapshot ``name`` of the VM."""
        self._held[vm_id, name] += 1
        try:
            yield
        finally:
            self._held[vm_id, name] -= 1

    def refuse_held(self, vm_id: str, name: str) -> None:
        """Raises ``conflict`` when the snapshot is being restored or copied."""
        if self._held[vm_id, name]:
            raise BangerError(
                Code.CONFLICT,
                f"the snapshot {name} is being restored or copied",
                hint="wait until that is done; see: banger ops list",
            )


def losses(name: str, state: State, written: float, created: str) -> list[str]:
    """What a restore of the VM ``name`` would lose, as sentences; empty for nothing. Pure.

    ``written``: when the VM's disks were written to last, in seconds since the epoch, 0 for a VM
    without disks. ``created``: when the snapshot was made, RFC 3339.
    """
    lost = []
    if state in LIVE:
        lost.append(f"programs that run in {name} are killed, without a shutdown of its guest")
    if state == "suspended":
        lost.append(f"the saved memory of {name}, which is suspended, is discarded")
    if state in LIVE or written > datetime.fromisoformat(created).timestamp():
        lost.append(f"changes to its disks since {created} are lost")
    return lost


def refuse_losses(name: str, snapshot: str, lost: list[str]) -> None:
    """Raises ``conflict`` when ``lost``, as ``losses`` returns it, is not empty."""
    if lost:
        raise BangerError(
            Code.CONFLICT,
            f"{name} has changed since its snapshot {snapshot}: {'; '.join(lost)}",
            hint=f"restore it anyway: banger vm snapshot restore --yes {name} {snapshot}",
            details={"lost": lost},
        )


def last_written(vm_state: Path, names: Iterable[str] = (files.OVERLAY, files.WORK_DISK)) -> float:
    """When the disks of a VM were written to last, in seconds since the epoch; 0 without disks."""
    times = [path.stat().st_mtime for name in names if (path := vm_state / name).exists()]
    return max(times, default=0.0)
