"""Processes of their own session, named by pid and start time, and watched."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.process import ProcessId, Watch, send_signal, spawn_detached, start_time


def wait_for_end(process: ProcessId) -> int | None:
    async def watched() -> int | None:
        watch = Watch(process)
        try:
            return await watch.ended()
        finally:
            watch.close()

    return asyncio.run(watched())


def test_spawned_process_leads_its_own_session_and_reads_nothing(tmp_path: Path) -> None:
    script = 'ps=$(cut -d" " -f6 /proc/$$/stat); [ "$ps" = "$$" ] && ! read line && echo alone'
    process = spawn_detached(["sh", "-c", script], tmp_path / "log")
    assert wait_for_end(process) == 0
    assert (tmp_path / "log").read_text() == "alone\n"


def test_both_outputs_are_appended_to_a_private_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch(0o600)
    log.write_text("before\n")
    process = spawn_detached(["sh", "-c", "echo out; echo err >&2"], log)
    assert wait_for_end(process) == 0
    assert log.read_text() == "before\nout\nerr\n"


def test_stdin_is_the_one_given(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"spec")
    os.close(write)
    process = spawn_detached(["/bin/cat"], tmp_path / "log", stdin=read)
    os.close(read)
    assert wait_for_end(process) == 0
    assert (tmp_path / "log").read_text() == "spec"


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", -9)])
def test_watch_gives_the_exit_status_also_of_one_that_died_at_once(
    tmp_path: Path, command: str, status: int
) -> None:
    assert wait_for_end(spawn_detached(["sh", "-c", command], tmp_path / "log")) == status


def test_signal_goes_through_the_watch_and_to_nobody_after_the_end(tmp_path: Path) -> None:
    process = spawn_detached(["sleep", "60"], tmp_path / "log")

    async def killed() -> int | None:
        watch = Watch(process)
        watch.kill(signal.SIGTERM)
        status = await watch.ended()
        watch.kill(signal.SIGKILL)
        watch.close()
        return status

    assert asyncio.run(killed()) == -signal.SIGTERM
    assert start_time(process.pid) is None


def test_pid_with_another_start_time_is_not_watched() -> None:
    own = start_time(os.getpid())
    assert own is not None

    async def watch() -> None:
        Watch(ProcessId(os.getpid(), own + 1))

    with pytest.raises(BangerError) as caught:
        asyncio.run(watch())
    assert caught.value.code is Code.NOT_RUNNING


def test_missing_program_is_a_missing_tool_by_name(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        spawn_detached(["banger-no-such-program"], tmp_path / "log")
    assert caught.value.code is Code.MISSING_TOOL
    assert "banger-no-such-program" in caught.value.message


def test_nobody_has_no_start_time() -> None:
    assert start_time(2**22 + 1) is None


def test_environment_of_this_process_is_not_passed_on_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_TOKEN", "secret")
    monkeypatch.setenv("BANGER_RUN_DIR", "/r")
    assert wait_for_end(spawn_detached(["env"], tmp_path / "log")) == 0
    passed = (tmp_path / "log").read_text()
    assert "secret" not in passed
    assert "BANGER_RUN_DIR=/r" in passed


def test_a_signal_reaches_the_very_process_or_none(tmp_path: Path) -> None:
    process = spawn_detached(["sleep", "60"], tmp_path / "log")
    send_signal(ProcessId(process.pid, process.start_time + 1), signal.SIGKILL)
    assert start_time(process.pid) == process.start_time
    send_signal(process, signal.SIGKILL)
    assert wait_for_end(process) == -signal.SIGKILL
    send_signal(process, signal.SIGKILL)
