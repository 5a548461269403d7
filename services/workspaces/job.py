"""What a transfer is given to work with, and how it reports and is cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Cancelled(BaseException):
    """Raised in the worker's main thread by SIGTERM, so that every ``finally`` runs."""


@dataclass(frozen=True)
class JobContext:
    """Of one transfer, which has a process to itself."""

    directory: Path
    """Private, on disk, and removed afterwards by the service, whatever becomes of the worker."""
    progress: Callable[[str, str], None]
    """Takes a stage ("history", "files", …) and what is said of it."""
    vm_state: Path | None = None
    """The VM's state directory; None for a job that is about no VM."""
