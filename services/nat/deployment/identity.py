"""Whom a nat serves, and where it keeps its own lock and notes."""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.config import Config
from shared.paths import Paths


@dataclass(frozen=True)
class Station:
    """``owner``: uid of the user whose supervisors open the taps; ``gid`` and
    ``groups`` are that user's. ``keep``: the directory of
    nat's own files. ``external``: run by root beside the user's services, not by them."""

    owner: int
    gid: int
    groups: tuple[int, ...]
    keep: Path
    bridge: bool
    external: bool = False


def own_station(paths: Paths, config: Config) -> Station:
    """A nat that the user's launcher has started: it keeps its files among the user's."""
    # Owner of the run directory rather than our uid: nat alone may have been made root.
    run = paths.run.stat()
    return Station(
        owner=run.st_uid,
        gid=run.st_gid,
        groups=tuple(os.getgroups()) if run.st_uid == os.geteuid() else (),
        keep=paths.run,
        bridge=config.network_mode == "bridge",
    )
