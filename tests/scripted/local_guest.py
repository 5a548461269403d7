"""This machine as a guest: real sessions run its scripts, its paths are below a directory.

What is tested is the script and the host's side of it, with the shell and the git that are here.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.workspaces.guest import scripts
from shared.contract.messages.workspace import Target, TransferPrepare
from shared.contract.ssh_access import Access
from shared.workers.job import JobContext
from tests.repositories.making import environment
from tests.scripted.ssh_sessions import Guest, Server

BUSYBOX = (str(shutil.which("busybox")), "sh")
DASH = ("/bin/dash",)


class LocalGuest:
    """``root`` is the directory that stands for the guest's filesystem."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "guest"
        self.home = directory / "home"
        self.state = directory / "state"
        for each in (self.root, self.home, self.state):
            each.mkdir()
        self.said: list[tuple[str, str]] = []
        self.machine = Guest(environment={**environment(), "HOME": str(self.home)})
        self._sockets = Path(tempfile.mkdtemp(prefix="bngr"))
        self.access = Access("h", 22, "/k", "/h", "0123456789ab", str(self._sockets / "control"))
        self._server = Server(self.access.control, self.machine)
        self._jobs = 0

    def close(self) -> None:
        self._server.close()
        self.machine.close()
        shutil.rmtree(self._sockets)

    def path(self, name: str = "repo") -> Path:
        """What stands for ``name`` in the guest's root directory."""
        return self.root / name

    def context(self) -> JobContext:
        """Of one more job."""
        self._jobs += 1
        directory = self.directory / f"job-{self._jobs}"
        directory.mkdir()
        return JobContext(directory, lambda *words: self.said.append(words), self.state)

    def request(self, path: Path, name: str = "repo", **choices: Any) -> TransferPrepare:
        """A prepare of the repository at ``path``."""
        target = Target(vm_id="0123456789ab", vm_name="web", access=self.access)
        return TransferPrepare(
            path=str(path), guest_path=str(self.path(name)), target=target, **choices
        )


@contextmanager
def local_guest(
    directory: Path, monkeypatch: pytest.MonkeyPatch, shell: Sequence[str] = BUSYBOX
) -> Iterator[LocalGuest]:
    """A guest whose scripts are run by ``shell``."""
    monkeypatch.setattr(scripts, "SHELL", tuple(shell))
    made = LocalGuest(directory)
    yield made
    made.close()
