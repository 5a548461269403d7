"""What holds for snapshots: their names, who uses one now, and what a restore takes away."""

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
    """``time`` as 2026-11-29-1130, with a number behind it when that is taken."""
    number, name = 1, time
    while name in taken:
        number += 1
        name = f"{time}-{number}"
    return name


class SnapshotHolds:
    """Keeps a snapshot that is being restored or copied from being deleted."""

    def __init__(self) -> None:
        self._held: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def held(self, vm_id: str, name: str) -> Iterator[None]:
        """Inside, the snapshot ``name`` of a VM is not deleted."""
        self._held[vm_id, name] += 1
        try:
            yield
        finally:
            self._held[vm_id, name] -= 1

    def refuse_held(self, vm_id: str, name: str) -> None:
        """Raises ``conflict`` when it is in use."""
        if self._held[vm_id, name]:
            raise BangerError(
                Code.CONFLICT,
                f"the snapshot {name} is being restored or copied",
                hint="see what is running: banger ops list",
            )


def losses(name: str, state: State, written: float, created: str) -> list[str]:
    """``written``: when the VM's disks were written to last, in seconds since the epoch, 0 for a
    VM without disks; ``created``: when the snapshot was made, RFC 3339. Pure."""
    lost = []
    if state in LIVE:
        lost.append(f"what runs in {name} ends, without its guest being asked")
    if state == "suspended":
        lost.append(f"the memory of {name}, which is suspended, is dropped")
    if state in LIVE or written > datetime.fromisoformat(created).timestamp():
        lost.append(f"what was written to its disks since {created} is gone")
    return lost


def refuse_losses(name: str, snapshot: str, lost: list[str]) -> None:
    """Raises ``conflict`` when there are some."""
    if lost:
        raise BangerError(
            Code.CONFLICT,
            f"{name} has changed since its snapshot {snapshot}: {'; '.join(lost)}",
            hint=f"restore it all the same: banger vm snapshot restore --yes {name} {snapshot}",
            details={"lost": lost},
        )


def last_written(vm_state: Path, names: Iterable[str] = (files.OVERLAY, files.WORK_DISK)) -> float:
    """When the disks of a VM were written to last, in seconds since the epoch; 0 without disks."""
    times = [path.stat().st_mtime for name in names if (path := vm_state / name).exists()]
    return max(times, default=0.0)
