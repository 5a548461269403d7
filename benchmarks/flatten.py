"""A layer of an image to squashfs: time, and memory of all that takes part.

The floor is ``tar | sqfstar`` of the same files of this machine's /usr, which decompresses nothing,
checks no sum and takes any name. It packs with the same compression, and takes the memory it likes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.measure import Figure, NotHere, paired
from benchmarks.harness.memory import Peaks

SIZE = 2_000_000_000
SMOKE_SIZE = 20_000_000
RUNS = 3
SLOWEST = 1 / 0.7
MOST_MEMORY = 150.0
"""MB, of Python, the decompressor and sqfstar together."""
AGAINST = "tar | sqfstar of the same files"


def figures(*, smoke: bool) -> list[Figure]:
    if missing := [name for name in ("sqfstar", "zstd", "gzip") if not shutil.which(name)]:
        raise NotHere(f"needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bgr") as directory:
        bench = Bench(Path(directory), SMOKE_SIZE if smoke else SIZE)
        runs = 1 if smoke else RUNS
        return [
            *(bench.speed(kind, runs) for kind in ("gzip", "zstd")),
            bench.memory("gzip"),
        ]


@dataclass
class Bench:
    """A layer of about ``size`` bytes, in ``place``."""

    place: Path
    size: int

    def __post_init__(self) -> None:
        names = b"\0".join(os.fsencode(path) for path in some_files(Path("/usr"), self.size))
        (self.place / "names").write_bytes(names)
        archive = self.place / "layer.tar"
        subprocess.run([*self.tar, "-cf", str(archive)], stderr=subprocess.DEVNULL, check=True)
        with archive.open("rb") as file:
            self.diff_id = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self.packed = archive.stat().st_size
        subprocess.run(["gzip", "-k", "-1", str(archive)], check=True)
        subprocess.run(["zstd", "-q", "-3", str(archive)], check=True)
        archive.unlink()

    @property
    def tar(self) -> list[str]:
        names = self.place / "names"
        return ["tar", "-C", "/", "--null", "--no-recursion", "-T", str(names), "--numeric-owner"]

    def speed(self, kind: str, runs: int) -> Figure:
        ours, theirs = paired(lambda: self.flatten(kind).wait(), self.floor, runs=runs, warm_up=1)
        megabytes = self.packed // 1_000_000
        return Figure(
            f"layer of {megabytes} MB, {kind}", "s", ours, theirs, AGAINST, runs, bar=SLOWEST
        )

    def memory(self, kind: str) -> Figure:
        with self.flatten(kind) as process, Peaks([process.pid]) as ours:
            process.wait()
        with Peaks([os.getpid()]) as theirs:
            self.floor()
        return Figure(
            f"the same, {kind}: memory of all processes",
            "MB",
            sum(ours.megabytes.values()),
            sum(theirs.megabytes.values()),
            AGAINST,
            1,
            limit=MOST_MEMORY,
        )

    def flatten(self, kind: str) -> "subprocess.Popen[bytes]":
        blob = self.place / f"layer.tar.{'gz' if kind == 'gzip' else 'zst'}"
        argv = [sys.executable, "-m", "benchmarks.harness.flatten_layer", str(blob), self.diff_id]
        return subprocess.Popen([*argv, str(self._new_output())])

    def floor(self) -> None:
        pack = ["sqfstar", "-comp", "lz4", "-quiet", "-no-progress", str(self._new_output())]
        with subprocess.Popen(
            [*self.tar, "-cf", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as tar:
            subprocess.run(pack, stdin=tar.stdout, stderr=subprocess.DEVNULL, check=True)

    def _new_output(self) -> Path:
        output = self.place / "image.squashfs"
        output.unlink(missing_ok=True)
        return output


def some_files(top: Path, size: int) -> Iterator[str]:
    """Files and links below ``top`` with their directories, until they have ``size`` bytes."""
    total = 0
    for folder, directories, names in os.walk(top):
        directories.sort()
        yield folder
        for name in sorted(names):
            path = Path(folder, name)
            yield str(path)
            total += path.lstat().st_size
            if total > size:
                return
