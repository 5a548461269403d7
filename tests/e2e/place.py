"""One VM with workspaces, and what tests ask of it."""

import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.home import Home
from tests.repositories.tracked import TrackedFile

VM = "place"
TREE = """
cd {0}; cp .git/index .git/asked; export GIT_INDEX_FILE=.git/asked
git add -A; git write-tree; rm .git/asked
"""


@dataclass(frozen=True)
class Place:
    """The VM of this name in a home."""

    home: Home

    def workspace(
        self, verb: str, *words: str, status: int = 0, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """``vm workspace VERB VM…``, which has to end with ``status``; if not 0, with an error."""
        done = self.home.banger("vm", "workspace", verb, VM, *words, check=False, timeout=timeout)
        assert done.returncode == status, (verb, words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert status == 0 or "error: " in done.stderr
        return done

    def prepare(self, top: Path, guest_path: str, *words: str) -> None:
        self.workspace("prepare", str(top), "--guest-path", guest_path, "--no-bootstrap", *words)

    def refused(self, *words: str) -> dict[str, object]:
        """The error of a ``prepare`` that has to fail."""
        argv = ("vm", "workspace", "prepare", VM, *words, "--no-bootstrap", "-o", "json")
        done = self.home.banger(*argv, check=False)
        assert done.returncode not in (0, 2), done.stderr
        error: dict[str, object] = json.loads(done.stderr.strip().splitlines()[-1])["error"]
        return error

    def inside(self, script: str, check: bool = True) -> str:
        words = ("vm", "exec", VM, "-w", "/", "--", "sh", "-c", script)
        return self.home.banger(*words, check=check).stdout.strip()

    def files(self, guest_path: str) -> dict[bytes, TrackedFile]:
        """All files below it, but for git's own; those that are ``HUGE`` apart."""
        pack = f"tar -C {guest_path} --exclude=.git --exclude=big -cf - ."
        argv = self.home.argv("vm", "exec", VM, "-w", "/", "--", "sh", "-c", pack)
        done = subprocess.run(argv, env=self.home.environment, capture_output=True, check=True)
        return dict(_unpacked(done.stdout))

    def tree(self, guest_path: str) -> str:
        """git's name for all that is there, without touching its index."""
        return self.inside(TREE.format(guest_path)).splitlines()[-1]

    def export(self, guest_path: str, patch: Path, *words: str) -> None:
        self.workspace("export", "--guest-path", guest_path, "-o", str(patch), *words)


def _unpacked(packed: bytes) -> Iterator[tuple[bytes, TrackedFile]]:
    with tarfile.open(fileobj=io.BytesIO(packed), errors="surrogateescape") as archive:
        for member in archive:
            name = os.fsencode(member.name.removeprefix("./"))
            if member.issym():
                yield name, (0o120000, os.fsencode(member.linkname))
            elif member.isfile() or member.islnk():
                opened = archive.extractfile(member)
                assert opened
                mode = 0o100755 if member.mode & stat.S_IXUSR else 0o100644
                yield name, (mode, opened.read())
