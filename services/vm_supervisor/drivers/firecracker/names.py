"""What Firecracker calls a VM's files: relative names, the same for every VM.

A saved machine has the names of its drives and of its vsock socket in it, and Firecracker opens
them when it loads one. Absolute paths would be those of the VM that was saved: a copy of it would
write to its disks. So Firecracker is started in a directory where the names lead to the VM's own
files: in the run directory, which has links, or in the root of its jail, where nat has mounted
them. What was saved in one form can be loaded in the other (docs/decisions/0051).
"""

import os
from pathlib import Path
from typing import Any

from services.vm_supervisor.drivers.contract import Drives
from shared.vm import files

AGENT = f"{files.SOCKETS_LINK}/{files.AGENT_SOCKET}"
"""The vsock socket."""
SAVED_STATE = f"{files.SAVED_MACHINE}/{files.DEVICE_STATE}"
SAVED_MEMORY = f"{files.SAVED_MACHINE}/{files.MEMORY}"
"""What is loaded."""
SAVING_STATE = f"{files.SAVE_LINK}/{files.DEVICE_STATE}"
SAVING_MEMORY = f"{files.SAVE_LINK}/{files.MEMORY}"
"""What is saved, until it is copied out."""


def drive(name: str) -> str:
    """The file of a drive."""
    return f"{files.DRIVES}/{name}"


def make_links(run: Path, state: Path, drives: Drives) -> None:
    """Make ``run`` a directory in which the names lead to the VM's files. The sockets are in it
    themselves, so one name is a link to where it is."""
    disks = run / files.DRIVES
    disks.mkdir(mode=0o700, exist_ok=True)
    for each in drives.devices():
        _link(disks / each.name, each.path)
    _link(run / files.SOCKETS_LINK, Path())
    _link(run / files.SAVE_LINK, state / files.SAVING)


def make_room(state: Path) -> None:
    """Make the files that a save is written to, empty: nat mounts them before there is a save."""
    saving = state / files.SAVING
    saving.mkdir(mode=0o700, exist_ok=True)
    for name in (files.MEMORY, files.DEVICE_STATE):
        (saving / name).unlink(missing_ok=True)
        (saving / name).touch(mode=0o600)


def link_saved(run: Path, saved: Path | None) -> None:
    """Make the names of what is loaded lead to the saved machine in ``saved``, or nowhere."""
    if saved:
        _link(run / files.SAVED_MACHINE, saved)
    else:
        (run / files.SAVED_MACHINE).unlink(missing_ok=True)


def are_relative(config: dict[str, Any]) -> bool:
    """Whether a machine has the names of this module, told from the answer to GET /vm/config. One
    that an older version has started has absolute paths."""
    drives = config.get("drives") or []
    paths = [str(each.get("path_on_host") or "") for each in drives]
    vsock = config.get("vsock") or {}
    return not any(map(os.path.isabs, [*paths, str(vsock.get("uds_path") or "")]))


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
