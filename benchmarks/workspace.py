"""A repository on its way into a guest and out again: time, and memory of all that takes part.

The floor is what somebody would type without the product: a shallow clone into memory, and tar
through ssh, over the connection that the supervisor holds. The guest has what both brought only
once: each is removed, outside the clock, before the other comes.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.large_repository import (
    LARGE,
    SMALL,
    TINY,
    RepositorySize,
    cached_repository,
    git,
    text_path,
)
from benchmarks.harness.measure import Figure, median, paired, seconds
from benchmarks.harness.memory import Peaks
from benchmarks.harness.product import installed, settle
from tests.home import Home

VM = "bench"
SMALL_RUNS, EDITS, EXPORTS = 5, 3, 3
PATIENCE = 1800.0
"""Seconds for one command about the large repository, in an emulated guest."""
IN_MEMORY = "/dev/shm"
DEPTH = 10
"""Of a shallow clone, as the product makes it."""
FLOOR = f"clone --depth {DEPTH} into memory, tar over the same ssh"


def figures(*, smoke: bool) -> list[Figure]:
    size = TINY if smoke else LARGE
    with installed() as home, contextlib.ExitStack() as cleanup:
        home.banger("vm", "create", "--name", VM)
        cleanup.callback(home.banger, "vm", "delete", VM)
        if not smoke:
            settle(home, VM)
        small = Bench(home, SMALL, cached_repository(SMALL), "/root/small")
        large = Bench(home, size, cached_repository(size), "/root/large")
        return [
            _small(small, 1 if smoke else SMALL_RUNS),
            *_large(large, 1 if smoke else EDITS),
            _export(large, 1 if smoke else EXPORTS),
        ]


@dataclass(frozen=True)
class Bench:
    """One repository, and where it is placed in the VM: by the product, and by hand beside it."""

    home: Home
    size: RepositorySize
    repository: Path
    guest_path: str

    def prepare(self) -> None:
        where = ("--guest-path", self.guest_path, "--no-bootstrap")
        command = ("vm", "workspace", "prepare", VM, str(self.repository), *where)
        self.home.banger(*command, timeout=PATIENCE)

    def by_hand(self) -> None:
        """Clone into memory, pack with tar, unpack in the guest."""
        unpack = "tar -x --warning=no-timestamp"
        script = f"mkdir -p {self._hand_path} && exec {unpack} -C {self._hand_path}"
        with tempfile.TemporaryDirectory(dir=IN_MEMORY, prefix="bgr") as directory:
            clone = Path(directory, "clone")
            self.clone(clone)
            with subprocess.Popen(["tar", "-C", clone, "-c", "."], stdout=subprocess.PIPE) as tar:
                subprocess.run([*_ssh(self.home), script], check=True, stdin=tar.stdout)
            assert tar.returncode == 0, "tar failed"

    def clone(self, into: Path) -> None:
        shallow = ("--depth", str(DEPTH), f"file://{self.repository}", str(into))
        subprocess.run(["git", "clone", "-q", *shallow], check=True)

    def remove(self) -> None:
        """Neither is in the guest any more, and its disk is at rest."""
        self.inside(f"rm -rf {self.guest_path} {self._hand_path}; sync")

    def inside(self, script: str) -> str:
        command = ("vm", "exec", VM, "-w", "/", "--", "sh", "-c", script)
        return self.home.banger(*command, timeout=PATIENCE).stdout

    @property
    def _hand_path(self) -> str:
        return f"{self.guest_path}-by-hand"

    @contextlib.contextmanager
    def edited(self) -> Iterator[None]:
        """With one line more in one file, which is another line each time."""
        file = self.repository / text_path(7)
        with file.open("a") as end:
            end.write(f"edited {os.urandom(4).hex()};\n")
        try:
            yield
        finally:
            git(file.parent, "checkout", "-q", "HEAD", "--", file.name)


def _small(bench: Bench, runs: int) -> Figure:
    measured, floor = paired(
        bench.prepare,
        bench.by_hand,
        runs=runs,
        warm_up=0 if runs == 1 else 1,
        before=bench.remove,
    )
    name = f"prepare of a repository of {bench.size.files} files"
    return Figure(name, "s", measured, floor, FLOOR, runs, limit=0.6)


def _large(bench: Bench, edits: int) -> list[Figure]:
    """First prepare, later ones, and the largest process meanwhile."""
    in_memory = tempfile.TemporaryDirectory(dir=IN_MEMORY, prefix="bgr")
    with in_memory as directory, Peaks([os.getpid()]) as of_git:
        bench.clone(Path(directory, "clone"))  # all that git reads is in memory from now on
    bench.remove()
    floor = seconds(bench.by_hand)
    bench.remove()
    with Peaks([os.getpid(), *bench.home.processes()]) as peaks:
        first = seconds(bench.prepare)
        later = [_prepare_edited(bench) for _ in range(edits)]
    what = f"prepare of {bench.size.files} files, {bench.size.history / 1e9:.2g} GB of history"
    largest, of_clone = peaks.largest, of_git.largest
    process = max(peaks.megabytes, key=lambda name: peaks.megabytes[name])
    return [
        Figure(what, "s", first, floor, FLOOR, 1, bar=2.0),
        Figure("the same again after an edit of one line", "s", median(later), first,
               "the first", edits, bar=0.15),
        Figure("largest process on the host meanwhile, RSS", "MB", largest, of_clone,
               f"git clone --depth {DEPTH}; ours: {process}", 1, limit=120.0),
    ]  # fmt: skip


def _prepare_edited(bench: Bench) -> float:
    with bench.edited():
        return seconds(bench.prepare)


def _export(bench: Bench, runs: int) -> Figure:
    """Of one file that was changed in the guest; it is the large repository that makes it work."""
    bench.inside(f"echo 'changed in the guest;' >>{bench.guest_path}/{text_path(11)}")
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        patch = Path(directory, "patch")
        where = ("--guest-path", bench.guest_path)
        export = ("vm", "workspace", "export", VM, "-o", str(patch), *where)
        measured, peer = paired(
            lambda: bench.home.banger(*export, timeout=PATIENCE),
            lambda: bench.inside(f"git -C {bench.guest_path} status --porcelain"),
            runs=runs,
            warm_up=1,
        )
        assert b"changed in the guest" in patch.read_bytes(), "the patch lacks the change"
    name, against = "export of one changed file of it", "git status in the guest, by vm exec"
    return Figure(name, "s", measured, peer, against, runs)


def _ssh(home: Home) -> list[str]:
    """ssh over the connection that the supervisor holds."""
    access = json.loads(home.banger("vm", "show", VM, "-o", "json").stdout)["access"]
    shared = ("-o", "ControlMaster=no", "-o", f"ControlPath={access['control']}")
    return ["ssh", "-F", "/dev/null", *shared, "-p", str(access["port"]), f"root@{access['host']}"]
