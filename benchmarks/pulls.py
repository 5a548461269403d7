"""Images out of a registry on a loopback address: against skopeo, and against a second time.

Both fetch eight layers that do not compress. skopeo writes them into a directory, checked by their
sums as ours are. The peak is of the worker's whole process tree, with the flattening.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.harness.measure import Figure, NotHere, paired, seconds
from benchmarks.harness.memory import Peaks
from services.images.jobs.requests import PullJob
from services.images.oci.blobs import BlobCache
from services.images.oci.pulling import PullOptions, pulled
from services.images.oci.reference import parse_any
from shared.workers.worker import WorkerJob
from tests.oci.container_images import Layout, layer
from tests.oci.registry import RealRegistry, missing, registry

LAYERS = 8
LARGE, SMALL = 48 << 20, 1 << 20
"""Bytes of each layer."""
RUNS = 5
TAG = "bench:1"


def figures(*, smoke: bool) -> list[Figure]:
    if lacking := missing():
        raise NotHere(f"it needs {', '.join(lacking)}")
    runs = 1 if smoke else RUNS
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bgr-bench") as directory:
        place = Path(directory)
        (place / "registry").mkdir()
        with registry(place / "registry") as found:
            _fill(found, place, SMALL if smoke else LARGE)
            return [_download(found, place, runs), *_whole(found, place, runs)]


def _fill(found: RealRegistry, place: Path, size: int) -> None:
    layout = Layout(place / "layout")
    layers = [layer({f"file-{number}": os.urandom(size)}) for number in range(LAYERS)]
    layout.tag(layout.add_image(layers), "1")
    found.push(f"oci:{layout.directory}:1", TAG)
    shutil.rmtree(layout.directory)


def _download(found: RealRegistry, place: Path, runs: int) -> Figure:
    """Speed, so the reference is skopeo's time over 0.8."""
    blobs, copy = place / "blobs", place / "copy"

    def ours() -> None:
        options = PullOptions(BlobCache(blobs), place)
        reference = parse_any(f"{found.host}/{TAG}")
        with pulled(reference, options, lambda *_: None, lambda _: False, lambda _: None):
            return

    def skopeo() -> None:
        source, target = f"docker://{found.host}/{TAG}", f"dir:{copy}"
        command = ["skopeo", "copy", "-q", "--src-tls-verify=false", source, target]
        subprocess.run(command, check=True)

    def empty() -> None:
        for each in (blobs, copy):
            shutil.rmtree(each, ignore_errors=True)

    measured, reference = paired(ours, skopeo, runs=runs, warm_up=1, before=empty)
    against = "skopeo copy to a directory"
    name = f"download of {LAYERS} layers"
    return Figure(name, "s", measured, reference, against, runs, bar=1.25)


def _whole(found: RealRegistry, place: Path, runs: int) -> list[Figure]:
    """The job of ``image.pull`` in its process: cold, warm, and its peak."""
    shutil.rmtree(place / "blobs", ignore_errors=True)
    with Peaks([os.getpid()]) as peaks:
        first = seconds(lambda: _pull(found, place))
    second = min(seconds(lambda: _pull(found, place)) for _ in range(runs))
    again = f"the first, of {LAYERS} layers"
    return [
        Figure("image.pull a second time", "s", second, first, again, runs, bar=0.2),
        Figure(
            "image.pull, peak of its processes", "MB", peaks.largest, 150, "the limit", 1, limit=150
        ),
    ]


def _pull(found: RealRegistry, place: Path) -> None:
    images, work = place / "images", place / "job"
    images.mkdir(exist_ok=True)
    work.mkdir()
    body = PullJob(images=str(images), blobs=str(place / "blobs"), source=f"{found.host}/{TAG}")
    raw = msgspec.Raw(msgspec.json.encode(body))
    line = msgspec.json.encode(WorkerJob(verb="pull", directory=str(work), body=raw)) + b"\n"
    command = [sys.executable, "-m", "services.images.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(line)
        worker.stdin.flush()
        last = worker.stdout.readlines()[-1]
    assert b'"result"' in last, last
    shutil.rmtree(work)
