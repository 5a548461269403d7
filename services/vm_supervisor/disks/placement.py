"""Puts a saved machine in the place of what a VM is on disk: all of it, or nothing.

    restoring/                  what the VM is to become, published by one rename
    overlay.ext4, work.ext4     replaced by those of ``restoring``, one after the other
    suspended/                  what is left of ``restoring`` then, if it has memory

Before the rename nothing of the VM has changed. After it ``complete`` does the rest, which whoever
is the VM's supervisor next does before anything else: memory never meets disks of another moment
(docs/decisions/0053).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from services.vm_supervisor.disks.copies import (
    DISKS,
    copy_disks,
    disk_bytes,
    link_memory,
    require_room,
)
from shared.host.files import sync
from shared.vm import files
from shared.vm.publish_saved import discard, draft, publish, refused, sweep
from shared.vm.saved import SavedMachine


@contextmanager
def replacement(source: Path, saved: SavedMachine, state: Path) -> Iterator[Callable[[], None]]:
    """Copy the saved machine in ``source`` beside the disks of the VM in ``state``. The function
    that is given puts the copy in their place; without it, nothing has happened at the end.

    Blocks while it copies. Raises ``no_space`` before it begins, else as ``copy_disks``.
    """
    if saved.copied != "reflink":
        require_room(state, disk_bytes(source), "a copy of the disks")
    with draft(state) as work:
        copy_disks(source, work)
        if saved.memory is not None:
            link_memory(source, work)

        def put_in_place() -> None:
            complete(state)
            for name in DISKS:
                sync(work / name)
            rest = {name: each for name, each in saved.files.items() if name not in DISKS}
            publish(work, state / files.RESTORING, replace(saved, files=rest))
            complete(state)

        yield put_in_place


def complete(state: Path) -> None:
    """Do what is left of a replacement that was published. May be killed, and called again.

    Raises:
        BangerError: ``no_space``, ``denied``.
    """
    coming = state / files.RESTORING
    if not coming.exists():
        return
    discard(state / files.SUSPENDED)
    try:
        for name in DISKS:
            if (coming / name).exists():
                (coming / name).replace(state / name)
        sync(state)
        if (coming / files.MEMORY).exists():
            coming.rename(state / files.SUSPENDED)
            sync(state)
    except OSError as error:
        raise refused(state, error) from error
    discard(coming)


def clear_up(state: Path) -> None:
    """For a new supervisor: complete what one before has begun, and remove what none will use."""
    complete(state)
    for directory in (state, state / files.SNAPSHOTS, state / files.FORKS):
        sweep(directory)
