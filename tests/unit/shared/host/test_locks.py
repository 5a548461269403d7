"""Ownership by lock, between real processes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.host.locks import Lock, holder, is_held

HOLD = """
import sys
from pathlib import Path
from shared.host.locks import Lock
lock = Lock.try_acquire(Path(sys.argv[1]))
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""


def in_another_process(path: Path) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", HOLD, str(path)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_second_taker_is_refused_until_the_first_releases(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock.try_acquire(path)
    assert first
    assert Lock.try_acquire(path) is None
    first.release()
    again = Lock.try_acquire(path)
    assert again
    again.release()


def test_holder_is_named_while_it_lives_and_nobody_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with in_another_process(path) as other:
        assert said(other) == "held"
        assert holder(path) == other.pid
        assert Lock.try_acquire(path) is None
        other.kill()
    # The pid is still in the file; only the kernel's word counts.
    assert path.read_text() == f"{other.pid}\n"
    assert holder(path) is None


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None


def test_shorter_pid_replaces_a_longer_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("12345678901234567890\n")
    lock = Lock.try_acquire(path)
    assert lock
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_lock_file_without_a_pid_has_a_holder_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock.try_acquire(path)
    assert lock
    path.write_text("not a pid")
    assert holder(path) is None
    lock.release()


def test_a_lock_whose_file_was_removed_or_replaced_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock.try_acquire(path)
    assert lock
    assert not lock.is_lost()
    path.unlink()
    assert lock.is_lost()
    path.touch()
    assert lock.is_lost()
    lock.release()


def test_a_lock_that_cannot_be_written_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(OSError, match="Invalid argument"):
        Lock.try_acquire(Path("/dev/full"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_asking_who_holds_a_free_lock_never_turns_its_taker_away(tmp_path: Path) -> None:
    path, done = tmp_path / "lock", threading.Event()

    def ask() -> None:
        while not done.is_set():
            holder(path)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(500):
            lock = Lock.try_acquire(path)
            assert lock
            lock.release()
    finally:
        done.set()
        asker.join()


def test_a_lock_is_held_whoever_has_it_and_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    lock = Lock.try_acquire(path)
    assert lock
    path.write_text("")  # the moment before the holder has written who it is
    assert is_held(path)
    lock.release()
    assert not is_held(path)
