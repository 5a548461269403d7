"""What the host remembers of a workspace that it placed, in the VM's state directory.

``workspaces/<id>.json`` has what was chosen and placed; the manifests beside it have the files. The
record is replaced as a whole, and names its manifests, so the two always belong together.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from shared.host.files import write_atomically
from shared.vm import files


class PlacedRepository(msgspec.Struct, kw_only=True):
    """The workspace's repository, or a submodule in it."""

    below: str = ""
    """Hexadecimal bytes of the submodule's path in the workspace; empty for the workspace."""
    head: str = ""
    """The host's commit; empty without one."""
    ref: str = ""
    """Full name of the guest's branch then; empty for a detached HEAD."""
    shallow: list[str] = []
    """Commits whose parents the guest does not have."""
    prepared: str = ""
    """The guest's commit of what was placed; empty when its end was not heard of."""
    manifest: str = ""
    """Name of the file beside the record."""
    pending: str = ""
    """Name of a file with the paths of an update whose end was not heard of, each with a NUL."""


class PlacedWorkspace(msgspec.Struct, kw_only=True):
    """The record. ``branch`` to ``bootstrap`` are the choices of the last prepare."""

    host_path: str
    guest_path: str
    branch: str = ""
    start: str = ""
    include_untracked: bool = False
    full: bool = False
    bootstrap: bool = True
    prepared_at: str = ""
    repositories: list[PlacedRepository] = []
    """Submodules first, the workspace's own last."""


def workspace_id(guest_path: str) -> str:
    """Begins the names of all files about one workspace of a VM."""
    return hashlib.sha256(os.fsencode(guest_path)).hexdigest()[:16]


def load_record(vm_state: Path, guest_path: str) -> PlacedWorkspace | None:
    """The record of a workspace; None when there is none, or none that this version reads."""
    path = _path(vm_state, guest_path)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=PlacedWorkspace)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    manifests = (path.with_name(each.manifest) for each in record.repositories)
    return record if all(each.is_file() for each in manifests) else None


def save_record(vm_state: Path, record: PlacedWorkspace) -> None:
    """Replace the record, and remove files that it does not name. Raises ``no_space``."""
    path = _path(vm_state, record.guest_path)
    write_atomically(path, msgspec.json.encode(record))
    named = {path.name}
    for each in record.repositories:
        named |= {each.manifest, each.pending}
    for old in path.parent.glob(f"{path.stem}.*"):
        if old.name not in named:
            old.unlink(missing_ok=True)


def file_beside(vm_state: Path, guest_path: str, kind: str) -> Path:
    """A new file beside the record; its directory is made. ``kind`` goes into its name."""
    directory = vm_state / files.WORKSPACES
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{workspace_id(guest_path)}.{os.urandom(4).hex()}.{kind}"


def _path(vm_state: Path, guest_path: str) -> Path:
    return vm_state / files.WORKSPACES / f"{workspace_id(guest_path)}.json"
