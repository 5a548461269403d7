"""One run directory per state directory, whatever processes serve it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.locks import STACK_LOCK, Membership, join, same_directory, serving

JOIN_AND_HOLD = """
import sys
from pathlib import Path
from shared.errors import BangerError
from shared.host.locks import join
state, run = map(Path, sys.argv[1:])
sys.stdin.readline()
try:
    membership = join(state, run)
except BangerError as error:
    print(error.code.value, flush=True)
else:
    print("joined", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


def run_directory(state: Path, name: str) -> Path:
    path = state / name
    path.mkdir(exist_ok=True)
    return path


def refusal(state: Path, run: Path) -> BangerError:
    with pytest.raises(BangerError) as caught:
        join(state, run)
    return caught.value


def test_nobody_serves_a_state_directory_at_first(state: Path) -> None:
    assert serving(str(state)) is None
    assert serving(str(state / "missing")) is None


def test_members_of_one_run_directory_join_and_others_are_told_where(state: Path) -> None:
    one, other = run_directory(state, "one"), run_directory(state, "other")
    members = [join(state, one), join(state, one)]
    assert serving(str(state)) == str(one)
    error = refusal(state, other)
    assert error.code is Code.CONFLICT
    assert error.message == f"{state} is served from {one}"
    assert error.hint == f"set BANGER_RUN_DIR={one}"
    members.pop().release()
    assert serving(str(state)) == str(one), "one member is left"


def test_when_the_last_member_is_gone_another_run_directory_may_serve(state: Path) -> None:
    one, other = run_directory(state, "one"), run_directory(state, "a-much-shorter")
    join(state, one).release()
    assert serving(str(state)) is None
    membership = join(state, other)
    assert serving(str(state)) == str(other)
    membership.release()


def test_a_run_directory_reached_by_a_link_is_the_same(state: Path) -> None:
    one = run_directory(state, "one")
    (state / "link").symlink_to(one)
    members = join(state, one), join(state, state / "link")
    for each in members:
        each.release()
    assert same_directory("/a/../b", "/b")
    assert not same_directory("/a", "/b")


def test_a_member_whose_run_directory_vanished_still_says_where_it_serves(state: Path) -> None:
    one = run_directory(state, "one")
    membership = join(state, one)
    one.rmdir()
    assert serving(str(state)) == str(one)
    assert refusal(state, run_directory(state, "other")).code is Code.CONFLICT
    membership.release()


def test_a_lock_that_was_removed_is_made_anew(state: Path) -> None:
    one = run_directory(state, "one")
    before = join(state, one)
    (state / STACK_LOCK).unlink()
    assert serving(str(state)) is None
    after = join(state, one)
    assert serving(str(state)) == str(one)
    for each in (before, after):
        each.release()


def test_cleaners_of_old_files_are_kept_out_while_there_are_members(state: Path) -> None:
    """As systemd-tmpfiles asks: by an exclusive flock(2) that does not wait."""
    one = run_directory(state, "one")
    membership = join(state, one)
    cleaner = os.open(one, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        membership.release()
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(cleaner)


def test_a_member_without_a_run_directory_leaves_nothing_behind(state: Path) -> None:
    with pytest.raises(FileNotFoundError):
        join(state, state / "missing")
    assert serving(str(state)) is None


@pytest.fixture
def racers(state: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    argv = [sys.executable, "-c", JOIN_AND_HOLD, str(state)]
    started = [
        subprocess.Popen(
            [*argv, str(run_directory(state, f"run{number}"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    yield started
    for each in started:
        with each:  # closes its pipes, and so ends it
            each.kill()


def test_of_several_that_join_at_the_same_instant_one_succeeds(
    racers: list["subprocess.Popen[str]"],
) -> None:
    for each in racers:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.stdout.readline().strip() for each in racers if each.stdout]
    assert sorted(said) == ["conflict", "conflict", "conflict", "joined"]


def test_a_membership_holds_what_it_is_given(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    Membership(fd).release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
