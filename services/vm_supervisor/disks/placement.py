"""Replaces the files of a VM by those of a saved machine: all of them, or none.

    restoring/                  what the VM is to become, published by one rename
    overlay.ext4, work.ext4     replaced by those of ``restoring``, one after the other
    workspaces/                 replaced by that of ``restoring``
    suspended/                  the rest of ``restoring``, if it has memory

Before the rename nothing of the VM has changed. After it, ``complete`` does the rest. If it is
interrupted, the VM's next supervisor calls it before anything else, so memory is never combined
with disks of another moment (docs/decisions/0053).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from services.vm_supervisor.disks.copies import (
    DISKS,
    copy_disks,
    disk_bytes,
    link_memory,
    link_workspaces,
    require_room,
)
from shared.host.files import sync
from shared.vm import files
from shared.vm.publish_saved import discard, draft, publish, refused, sweep
from shared.vm.saved import SavedMachine


@contextmanager
def replacement(source: Path, saved: SavedMachine, state: Path) -> Iterator[Callable[[], None]]:
    """Copy the saved machine in ``source`` beside the disks of the VM in ``state``.

    Yields a function that replaces the disks by the copy. Unless it is called, the copy is removed
    at the end and nothing has changed. Blocks while it copies.

    Raises:
        BangerError: ``no_space`` before it copies, and as ``copy_disks``.
    """
    if saved.copied != "reflink":
        require_room(state, disk_bytes(source), "a copy of the disks")
    with draft(state) as work:
        copy_disks(source, work)
        if (source / files.WORKSPACES).exists():  # an older version has saved none
            link_workspaces(source, work)
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
    """Finish a replacement that was published, if there is one. May be killed, and called again.

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
        if (coming / files.WORKSPACES).exists():
            if (state / files.WORKSPACES).exists():
                shutil.rmtree(state / files.WORKSPACES)
            (coming / files.WORKSPACES).rename(state / files.WORKSPACES)
        sync(state)
        if (coming / files.MEMORY).exists():
            coming.rename(state / files.SUSPENDED)
            sync(state)
    except OSError as error:
        raise refused(state, error) from error
    discard(coming)


def clear_up(state: Path) -> None:
    """For a new supervisor: finish what the one before has begun, and remove drafts that it left.

    Raises as ``complete``.
    """
    complete(state)
    for directory in (state, state / files.SNAPSHOTS, state / files.FORKS):
        sweep(directory)
