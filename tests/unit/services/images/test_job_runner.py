"""Jobs in a real worker."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from services.images.job_runner import JobRunner
from services.images.jobs.requests import ExportJob, ImportJob, PublishedImage, Written
from shared.bus.handlers import Call
from shared.errors import BangerError, Code
from shared.logs import Log
from tests.unit.services.images.library.shelf import add


class Asked:
    """A request whose progress is kept."""

    request_id = "0123"

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def progress(self, *words: Any) -> None:
        self.said.append(words)


def runner(tmp_path: Path) -> JobRunner:
    return JobRunner(tmp_path / "jobs", tmp_path / "images", Log(tmp_path / "log", "images"))


def test_a_job_is_done_in_a_process_of_its_own_and_nothing_is_left(tmp_path: Path) -> None:
    image = add(tmp_path / "images", b"content", "web")
    output = tmp_path / "x.tar.zst"
    job = ExportJob(images=str(tmp_path / "images"), id=image.id, output=str(output))
    asked = Asked()
    jobs = runner(tmp_path)
    written = asyncio.run(jobs.run("export_archive", job, Written, cast(Call, asked)))
    assert written.size == output.stat().st_size
    assert ("write", "0 of 1 MiB") in [words[:2] for words in asked.said]
    assert list((tmp_path / "jobs").iterdir()) == []
    assert jobs.running == 0


def test_an_error_of_the_job_is_the_callers(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    job = ImportJob(images=str(tmp_path / "images"), file=str(file))
    with pytest.raises(BangerError) as raised:
        asyncio.run(
            runner(tmp_path).run("import_archive", job, PublishedImage, cast(Call, Asked()))
        )
    assert raised.value.code is Code.INVALID


def test_a_job_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    job = ImportJob(images=str(tmp_path / "images"), file=str(pipe))

    async def cancel() -> None:
        task = asyncio.create_task(
            runner(tmp_path).run("import_archive", job, PublishedImage, cast(Call, Asked()))
        )
        writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # the job reads it now
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        os.close(writer)

    asyncio.run(cancel())
    assert list((tmp_path / "jobs").iterdir()) == []
