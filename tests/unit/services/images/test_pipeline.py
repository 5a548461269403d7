"""Real programs, small ones: what is tested is that they end, and what is said about it."""

import asyncio
import os
import select
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from services.images.pipeline import Program, ProgramFailed, require, run
from shared.errors import BangerError, Code


def shell(script: str, **environment: str) -> Program:
    return Program(["sh", "-c", script], environment=environment)


def finish(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_lines_of_stderr_are_heard_as_they_come() -> None:
    heard: list[str] = []
    finish(run(shell("echo one >&2; echo two >&2; echo data"), on_line=heard.append))
    assert heard == ["one", "two"]


def test_data_goes_through_the_pipe_from_file_to_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 300_000)
    with source.open("rb") as stdin, target.open("wb") as stdout:
        commands = [Program(["cat"]), Program(["tr", "x", "y"]), Program(["cat"])]
        finish(run(*commands, stdin=stdin.fileno(), stdout=stdout.fileno()))
    assert target.read_bytes() == b"y" * 300_000


def test_the_locale_is_fixed_and_the_environment_can_be_added_to() -> None:
    heard: list[str] = []
    finish(run(shell('echo "$LC_ALL $WHO" >&2', WHO="me"), on_line=heard.append))
    assert heard == ["C.UTF-8 me"]


def test_a_failure_carries_the_status_and_the_last_lines() -> None:
    with pytest.raises(ProgramFailed) as raised:
        finish(run(shell("seq 100 >&2; exit 7")))
    assert raised.value.status == 7
    assert raised.value.lines[-1] == "100"
    assert len(raised.value.lines) == 60


def test_a_line_longer_than_a_pipe_is_one_line() -> None:
    heard: list[str] = []
    finish(run(shell("head -c 200000 /dev/zero | tr '\\0' x >&2"), on_line=heard.append))
    assert [len(line) for line in heard] == [200_000]


def test_the_producer_is_blamed_when_it_failed_first() -> None:
    with pytest.raises(ProgramFailed) as raised:
        finish(run(shell("echo bad mirror >&2; exit 3"), Program(["cat"])))
    assert (raised.value.program, raised.value.status) == ("sh", 3)


def test_the_producer_is_blamed_when_it_failed_but_ends_after_its_consumer() -> None:
    producer = shell("exec >&-; seq 100000 | tail -1 >&2; echo no mirror >&2; exit 3")
    with pytest.raises(ProgramFailed) as raised:
        finish(run(producer, shell("read line || exit 1")))
    assert (raised.value.status, raised.value.lines[-1]) == (3, "no mirror")


def test_the_consumer_is_blamed_when_the_producer_only_lost_its_reader() -> None:
    consumer = Program(["tar", "--extract", "--file=/nonexistent"])
    with pytest.raises(ProgramFailed) as raised:
        finish(run(Program(["yes"]), consumer))
    assert raised.value.program == "tar"


def test_cancelling_ends_the_program_and_what_it_started() -> None:
    async def scenario() -> None:
        ready = asyncio.Event()
        grandchildren: list[int] = []

        def on_line(line: str) -> None:
            grandchildren.append(os.pidfd_open(int(line)))
            ready.set()

        task = asyncio.create_task(run(shell("sleep 1000 & echo $! >&2; wait"), on_line=on_line))
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Readable when the process has ended; the time is for a machine with much to do.
        ended, _, _ = select.select(grandchildren, [], [], 30)
        assert ended == grandchildren
        os.close(grandchildren[0])

    finish(scenario())


def test_a_program_that_cleans_up_on_sigterm_is_given_the_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        ready = asyncio.Event()
        mark = tmp_path / "cleaned"
        script = f"trap 'echo bye >&2; touch {mark}; exit 1' TERM; echo up >&2; sleep 1000 & wait"
        heard: list[str] = []

        def on_line(line: str) -> None:
            heard.append(line)
            ready.set()

        task = asyncio.create_task(run(shell(script), on_line=on_line))
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert mark.exists()
        assert heard == ["up", "bye"]

    finish(scenario())


def test_a_missing_tool_names_its_package() -> None:
    with pytest.raises(BangerError) as raised:
        require("sh", "no-such-tool-zz")
    assert raised.value.code is Code.MISSING_TOOL
    assert "no-such-tool-zz" in raised.value.message
    assert "sudo apt install" in raised.value.hint


def test_a_missing_tool_is_found_before_anything_starts() -> None:
    heard: list[str] = []
    with pytest.raises(BangerError):
        finish(run(shell("echo ran >&2"), Program(["no-such-tool-zz"]), on_line=heard.append))
    assert heard == []


def test_kept_descriptors_stay_open_in_the_program() -> None:
    reader, writer = os.pipe()
    try:
        finish(run(Program(["sh", "-c", f"echo held >/dev/fd/{writer}"], keep=(writer,))))
        assert os.read(reader, 10) == b"held\n"
    finally:
        os.close(reader)
        os.close(writer)
