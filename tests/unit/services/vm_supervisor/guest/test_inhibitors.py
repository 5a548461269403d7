"""What keeps a guest awake, as its files say. The guest's script runs on the host."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from services.vm_supervisor.guest.inhibitors import LONGEST_INHIBITOR, SCRIPT, parse_inhibitors

LOCK = "# This is private data. Do not parse.\nWHAT={what}\nMODE={mode}\nUID=0\nPID=7\nWHO={who}\n"


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    (tmp_path / "inhibit").mkdir()
    return tmp_path


def lock(guest: Path, name: str, what: str, mode: str = "block", who: str = "apt upgrade") -> None:
    (guest / "inhibit" / name).write_text(LOCK.format(what=what, mode=mode, who=who))


def asked(guest: Path) -> str:
    busybox = shutil.which("busybox") or "busybox"
    argv = ["sh", "-c", SCRIPT, "sh", str(guest / "inhibit"), str(guest / "keep"), busybox]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=20)
    return parse_inhibitors(done.stdout.decode(errors="replace"))


def test_nothing_keeps_a_guest_awake_that_has_neither_locks_nor_file(guest: Path) -> None:
    assert asked(guest) == ""
    assert asked(guest / "absent") == ""


@pytest.mark.parametrize("what", ["sleep", "idle", "shutdown:sleep:idle"])
def test_a_lock_on_sleep_or_idle_keeps_it_awake(guest: Path, what: str) -> None:
    lock(guest, "1", "handle-power-key")
    lock(guest, "2", "sleep", mode="delay")
    assert asked(guest) == ""
    lock(guest, "3", what)
    assert asked(guest) == "apt upgrade (systemd-inhibit)"


def test_a_file_that_is_locked_or_says_something_keeps_it_awake(guest: Path) -> None:
    keep = guest / "keep"
    keep.touch()
    assert asked(guest) == ""
    with keep.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert asked(guest).startswith("a program (")
    keep.write_text("a backup\nof everything\n")
    assert asked(guest).startswith("a backup (")


def test_what_a_hostile_guest_says_is_cut_and_cannot_hang_the_question(guest: Path) -> None:
    os.mkfifo(guest / "keep")
    os.mkfifo(guest / "inhibit" / "0.ref")
    for number in range(100):
        lock(guest, f"{number:03}", "shutdown")
    lock(guest, "zzz", "sleep")  # beyond the limit
    assert asked(guest) == ""
    lock(guest, "000", "sleep", who="\x1b[31m" + "x" * 5000)
    said = asked(guest)
    assert "\x1b" not in said
    assert len(said) <= LONGEST_INHIBITOR + len(" (systemd-inhibit)")


@pytest.mark.parametrize("output", ["LOCK\nWHAT", "KEEP", "=\n==\nLOCK\n=", "\x00", "LOCK\nLOCK\n"])
def test_any_output_is_read(output: str) -> None:
    parse_inhibitors(output)
