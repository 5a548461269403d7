"""The user that a nat serves, and where nat has its lock and notes."""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.config import Config
from shared.paths import Paths


@dataclass(frozen=True)
class Identity:
    """``owner``: uid of the user whose supervisors open the taps; ``gid`` and ``groups`` are that
    user's. ``state_dir``: the directory of nat's own files. ``external``: root runs this nat, not
    the user's launcher."""

    owner: int
    gid: int
    groups: tuple[int, ...]
    state_dir: Path
    bridge: bool
    external: bool = False


def own_identity(paths: Paths, config: Config) -> Identity:
    """A nat that the user's launcher started. Its own files are in the run directory."""
    # The owner of the run directory, not the uid of this process: nat alone may be root.
    run = paths.run.stat()
    return Identity(
        owner=run.st_uid,
        gid=run.st_gid,
        groups=tuple(os.getgroups()) if run.st_uid == os.geteuid() else (),
        state_dir=paths.run,
        bridge=config.network_mode == "bridge",
    )
