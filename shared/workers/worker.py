"""The process of one long job of a service: a transfer, a download, an image.

It reads a ``WorkerJob`` as one line of JSON from standard input and writes lines of JSON to
standard output: ``{"progress": [stage, message]}`` while it works, then one ``{"result": …}`` or
``{"error": …}``. Nothing of the request is in its arguments. It ends with the service: standard
input stays open as long as the service lives.

A service has a module ``worker`` that calls ``main`` with its jobs; docs/decisions/0036 says why
each of them has a process of its own.
"""

import contextlib
import fcntl
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import msgspec

from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.workers.job import Cancelled, JobContext, ignore_cancels, take_cancels

GRACE_SECONDS = 10.0
"""What a job that is cancelled may take to undo what it has done, before it is killed."""
LONGEST_MESSAGE = 1000
"""Characters of a message of progress."""
PROGRESS_SECONDS = 0.1
"""Between two messages of one stage; those between are dropped."""


@dataclass(frozen=True)
class Jobs:
    """What the workers of a service can do."""

    package: str
    """Its module ``prepare`` does ``transfer.prepare`` by its function ``run``, and so on."""
    requests: Mapping[str, type[Any]]
    """The name of each job, and the struct of its request."""

    def runner(self, name: str) -> Callable[[Any, JobContext], Any]:
        """Imports the module of a job."""
        run: Callable[[Any, JobContext], Any]
        run = import_module(f"{self.package}.{name.rpartition('.')[2]}").run
        return run


class WorkerJob(msgspec.Struct, kw_only=True):
    """What a worker is told. ``vm_state`` is empty for a job that is about no VM."""

    verb: str
    """The name of the job, most often that of the verb that asks for it."""
    directory: str
    vm_state: str = ""
    body: msgspec.Raw


class Reporter:
    """Writes the lines of one worker."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._stage, self._at = "", 0.0

    def progress(self, stage: str, message: str) -> None:
        """Say how far the job is. Never fails: it is a courtesy, and a service that is gone ends
        this process in another way."""
        now = time.monotonic()
        if stage == self._stage and now - self._at < PROGRESS_SECONDS:
            return
        self._stage, self._at = stage, now
        self.write({"progress": [printable(stage, 64), printable(message, LONGEST_MESSAGE)]})

    def write(self, line: dict[str, Any]) -> None:
        content = msgspec.json.encode(line) + b"\n"
        with self._lock:
            try:
                while content:
                    content = content[os.write(self._output, content) :]
            except OSError:
                return


def main(jobs: Jobs) -> NoReturn:
    """Do the one job of this process, and end it."""
    lifeline, reporter = _streams()
    service_is_gone = threading.Event()
    try:
        take_cancels()
        _import_jobs(lifeline, jobs)
        if not (line := lifeline.readline()):
            os._exit(0)  # the service has no job for it
        job = msgspec.json.decode(line, type=WorkerJob)
        watch = (lifeline, service_is_gone)
        threading.Thread(target=_end_with_service, args=watch, daemon=True).start()
        outcome = _outcome(job, reporter, jobs)
        ignore_cancels()
    except Cancelled:  # in the moment before or after the job
        ignore_cancels()
        outcome = {"error": BangerError(Code.CANCELLED, "the job was cancelled").to_wire()}
    reporter.write(outcome)
    if service_is_gone.is_set():
        os.killpg(0, signal.SIGKILL)  # nobody else ends what the job has left behind
    sys.stderr.flush()
    # The service waits for this end, and nothing is left to do but to free memory.
    os._exit(0)


def _import_jobs(lifeline: BinaryIO, jobs: Jobs) -> None:
    """Import what any job needs, as long as there is none to do: the job waits for its imports
    otherwise. One that cannot be imported says so when it is to be done."""
    for name in jobs.requests:
        if select.select([lifeline], [], [], 0)[0]:
            return
        with contextlib.suppress(Exception):
            jobs.runner(name)


def _streams() -> tuple[BinaryIO, Reporter]:
    """Standard input and output under other numbers, so that no child and no library uses them:
    theirs are /dev/null and standard error."""
    lifeline, output = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return os.fdopen(lifeline, "rb"), Reporter(output)


def _outcome(job: WorkerJob, reporter: Reporter, jobs: Jobs) -> dict[str, Any]:
    """The last line. A failure that nobody has foreseen leaves its traceback on stderr, which the
    service keeps."""
    lock = os.open(job.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process has ended
    context = JobContext(
        directory=Path(job.directory),
        progress=reporter.progress,
        vm_state=Path(job.vm_state) if job.vm_state else None,
    )
    try:
        request = msgspec.json.decode(job.body, type=jobs.requests[job.verb])
        return {"result": jobs.runner(job.verb)(request, context)}
    except Cancelled:
        return {"error": BangerError(Code.CANCELLED, f"{job.verb} was cancelled").to_wire()}
    except BangerError as error:
        return {"error": error.to_wire()}
    except Exception as bug:
        traceback.print_exc()
        what = printable(f"{type(bug).__name__}: {bug}", LONGEST_MESSAGE)
        return {"error": BangerError(Code.INTERNAL, f"{job.verb} failed: {what}").to_wire()}


def _end_with_service(lifeline: BinaryIO, gone: threading.Event) -> None:
    """When the service is gone, cancel the job; then kill this process and its children."""
    while lifeline.read(1):
        continue
    gone.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)
