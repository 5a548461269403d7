"""Programs with a deadline: real ones, that end in milliseconds or never."""

import os
import threading
from pathlib import Path

import pytest

from scripts.smoke_kvm.step import HostLost, Runner, StepFailed, step, words


def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "log", dict(os.environ))


def test_a_program_that_is_late_is_ended_and_named(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"  # nobody writes it: cat never ends by itself
    os.mkfifo(fifo)
    with pytest.raises(StepFailed, match=r"cat .*: not over after 0 s"):
        runner(tmp_path).run(["cat", str(fifo)], 0.05)


def test_a_failure_quotes_what_the_program_said_last(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="status 3\nthe reason"):
        runner(tmp_path).must(["sh", "-c", "echo the reason >&2; exit 3"], 10)


def test_output_is_kept_in_the_log(tmp_path: Path) -> None:
    runner(tmp_path).must(["echo", "said"], 10)
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_step_tells_its_seconds_and_whether_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with step("fine"):
        pass
    with pytest.raises(StepFailed), step("broken"):
        raise StepFailed
    told = capsys.readouterr().out
    assert "fine: done, 0.0 s" in told
    assert "broken: failed, 0.0 s" in told


def test_a_long_command_line_is_cut() -> None:
    assert words(["/usr/bin/sh", "-c", "a\nb"]) == "sh -c a; b"
    assert len(words(["x" * 500])) < 120


def test_whoever_gives_up_ends_what_runs_at_once(tmp_path: Path) -> None:
    made = runner(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def give_up() -> None:
        with fifo.open("w"):  # opens when the shell has, so it runs
            made.give_up("L1 has stopped")

    other = threading.Thread(target=give_up)
    other.start()
    with pytest.raises(HostLost, match="L1 has stopped"):
        made.run(["sh", "-c", 'trap "" TERM; exec 3<"$0"; while :; do read x; done', str(fifo)], 50)
    other.join()


def test_after_that_nothing_is_run_any_more(tmp_path: Path) -> None:
    made = runner(tmp_path)
    made.give_up("L1 has stopped")
    with pytest.raises(HostLost, match="L1 has stopped"):
        made.run(["touch", str(tmp_path / "ran")], 10)
    assert not (tmp_path / "ran").exists()
