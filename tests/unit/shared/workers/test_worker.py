"""A worker as a process: one job in, lines out."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from shared.workers.worker import Reporter, WorkerJob
from tests.waiting import eventually

DEADLINE = 30.0
ROOT = Path(__file__).parents[4]


def job(tmp_path: Path, script: str) -> bytes:
    (tmp_path / "script").write_text(script)
    directory = tmp_path / "directory"
    directory.mkdir(exist_ok=True)
    body = msgspec.Raw(json.dumps({"path": str(tmp_path), "output": "secret"}).encode())
    told = WorkerJob(verb="transfer.plan", directory=str(directory), body=body)
    return msgspec.json.encode(told) + b"\n"


def begin(content: bytes) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.scripted.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    assert worker.stdin
    worker.stdin.write(content)
    worker.stdin.flush()
    return worker


def lines(worker: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    """What it says until it ends, its standard input open all the while."""
    assert worker.stdout
    with worker:
        said = [json.loads(line) for line in worker.stdout]
        worker.wait(DEADLINE)
    return said


def test_progress_comes_before_the_result(tmp_path: Path) -> None:
    said = lines(begin(job(tmp_path, "say one\x1b[31m")))
    assert said[0] == {"progress": ["script", "one\ufffd[31m"]}
    assert said[1]["result"]["host_path"] == str(tmp_path)
    assert len(said) == 2


def test_an_error_is_passed_on_with_its_code(tmp_path: Path) -> None:
    assert lines(begin(job(tmp_path, "fail no_space"))) == [
        {
            "error": {
                "code": "no_space",
                "message": "the script says no_space",
                "hint": "write another",
                "details": {},
            }
        }
    ]


def test_a_bug_is_internal_and_its_traceback_on_stderr(tmp_path: Path) -> None:
    worker = begin(job(tmp_path, "bug"))
    assert worker.stdout
    assert worker.stderr
    with worker:
        error = json.loads(worker.stdout.read())["error"]
        assert b"a bug in a job" in worker.stderr.read()
    assert error["code"] == "internal"
    assert "LookupError" in error["message"]


def test_a_request_that_is_none_is_a_bug_too(tmp_path: Path) -> None:
    body = WorkerJob(verb="transfer.plan", directory=str(tmp_path), body=msgspec.Raw(b"[]"))
    (said,) = lines(begin(msgspec.json.encode(body) + b"\n"))
    assert said["error"]["code"] == "internal"


def test_sigterm_cancels_and_what_has_to_be_undone_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    worker = begin(job(tmp_path, f"undo {tmp_path}/undone\nsay here\nwait {tmp_path}/fifo"))
    assert worker.stdout
    assert json.loads(worker.stdout.readline()) == {"progress": ["script", "here"]}
    worker.send_signal(signal.SIGTERM)
    (said,) = lines(worker)
    assert said["error"]["code"] == "cancelled"
    assert (tmp_path / "undone").read_text() == "undone"


def test_the_end_of_the_service_is_a_cancel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    script = f"undo {tmp_path}/undone\nchild {tmp_path}/pid\nsay here\nwait {tmp_path}/fifo"
    worker = begin(job(tmp_path, script))
    assert worker.stdin
    assert worker.stdout
    worker.stdout.readline()
    worker.stdin.close()
    worker.wait(DEADLINE)
    assert (tmp_path / "undone").exists()
    child = Path(f"/proc/{(tmp_path / 'pid').read_text()}/cmdline")
    eventually(lambda: not child.exists() or not child.read_bytes(), "its children end, too")
    worker.stdout.close()
    assert worker.stderr
    worker.stderr.close()


def test_a_job_has_neither_input_nor_output_of_its_own(tmp_path: Path) -> None:
    """A child that prints does not disturb the lines, one that reads gets nothing."""
    worker = begin(job(tmp_path, f"write {tmp_path}/told"))
    (said,) = lines(worker)
    assert "result" in said
    assert (tmp_path / "told").read_text().splitlines()[0] == str(tmp_path / "directory")


def test_jobs_are_imported_while_there_is_none_to_do() -> None:
    """An input without data: what a worker has imported is seen when it ends."""
    code = """
import sys
from shared.workers import worker
from tests.scripted.worker import SCRIPTED
reader, writer = worker.os.pipe()
worker._import_jobs(open(reader, "rb"), SCRIPTED)
print(*sys.modules)
"""
    for ready in (False, True):
        program = code.replace("worker._import", "worker.os.write(writer, b'x'); worker._import")
        argv = [sys.executable, "-c", program if ready else code]
        modules = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.split()
        assert (b"tests.scripted.jobs.apply" in modules) is not ready


def test_a_worker_that_gets_no_job_ends_quietly() -> None:
    argv = [sys.executable, "-m", "tests.scripted.worker"]
    done = subprocess.run(argv, cwd=ROOT, input=b"", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_messages_of_one_stage_that_follow_at_once_are_dropped() -> None:
    reader, writer = os.pipe()
    reporter = Reporter(writer)
    for number in range(1000):
        reporter.progress("files", f"{number} files")
    reporter.progress("history", "x" * 5000)
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        said = [json.loads(line)["progress"] for line in output]
    assert said[0] == ["files", "0 files"]
    assert len(said) < 100
    assert len(said[-1][1]) == 1000


def test_a_service_that_is_gone_makes_no_report_fail() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Reporter(writer).progress("files", "one")
    os.close(writer)
