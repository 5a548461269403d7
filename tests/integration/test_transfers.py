"""Transfers as processes: their turns, their cancels, and what a kill of anything leaves.

The service, its workers, the api and the command are real; the jobs do what a script in the
directory says that takes the repository's place (tests/scripted/jobs).
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from tests.home import REPOSITORY
from tests.integration.guests import (
    NOTHING,
    PROCFILE,
    SIZES,
    Guests,
    kill,
    new_guests,
    opened,
    stage_reached,
)
from tests.integration.peer import Peer, error_of
from tests.waiting import eventually

SCRIPTED = PROCFILE.replace("services.workspaces", "tests.scripted.workspaces")
PROCESS = "scripted.worker"
SECRET = "s3cr3t-branch"


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests(procfile=SCRIPTED) as guests:
        yield guests


@pytest.fixture
def web(guests: Guests) -> Iterator[str]:
    guests.create("web")
    yield "web"
    if guests.state("web") != "gone":
        guests.call("vm.delete", ref="web")
    eventually(lambda: leftovers(guests) == [], "no transfer is left")


def leftovers(guests: Guests) -> list[str]:
    """Workers at work, what they have started, and their directories."""
    processes = guests.home.processes().items()
    children = [line for _, line in processes if "sleep" in line]
    area = guests.home.paths.transfers
    workers = [line for pid, line in processes if PROCESS in line and _has_open(pid, area)]
    directories = [str(path) for path in (area.iterdir() if area.is_dir() else [])]
    return [*workers, *children, *directories]


def _has_open(pid: int, area: Path) -> bool:
    """A worker with a job holds its directory, also when that has been removed."""
    try:
        return any(str(area) in str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


class Repository:
    """A script in place of a repository, with a pipe that it waits for."""

    def __init__(self, path: Path, *lines: str) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.pipe = path / "pipe"
        os.mkfifo(self.pipe)
        (path / "script").write_text("\n".join(lines).format(pipe=self.pipe, path=path))

    @property
    def worker(self) -> int:
        """The pid of the worker that has written ``told``."""
        return int((self.path / "told").read_text().split()[1])

    def release(self) -> None:
        os.close(eventually(lambda: opened(self.pipe), "the job waits", every=0.01))


@pytest.fixture
def slow(tmp_path: Path) -> Repository:
    return Repository(
        tmp_path / "src",
        "undo {path}/undone", "child {path}/child", "write {path}/told", "say begun", "wait {pipe}",
    )  # fmt: skip


def begin(peer: Peer, repository: Repository, **more: str) -> bytes:
    """A prepare whose job has come as far as its pipe."""
    body = {"ref": "web", "path": str(repository.path), "branch": SECRET, **more}
    request = peer.ask("api", "workspace.prepare", body, seconds=60)
    stage_reached(peer, request, "begun")
    return request


def refusal(peer: Peer, request: bytes) -> BangerError:
    return error_of(lambda: peer.final(request))


# -- turns ----------------------------------------------------------------------------------


def test_what_is_placed_is_in_the_row_and_its_process_is_gone(
    guests: Guests, web: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "src", "child {path}/child", "write {path}/told")
    done = guests.call("workspace.prepare", ref=web, path=str(repository.path))
    assert done["workspace"]["guest_path"] == "/root/repo"
    assert guests.row(web)["workspaces"] == [done["workspace"]]
    directory, _, state = (repository.path / "told").read_text().split()
    assert repository.worker not in guests.home.processes()
    assert directory.startswith(str(guests.home.paths.transfers))
    assert state == str(guests.home.paths.vm_state(guests.row(web)["id"]))


def test_two_transfers_of_one_vm_are_one_after_the_other(
    guests: Guests, web: str, slow: Repository, tmp_path: Path
) -> None:
    quick = Repository(tmp_path / "quick", "say begun")
    with guests.peer() as first, guests.peer() as second:
        one = begin(first, slow)
        body = {"ref": web, "path": str(quick.path), "guest_path": "/root/quick"}
        two = second.ask("api", "workspace.prepare", body, seconds=60)
        stage_reached(second, two, "waiting for another transfer of web")
        slow.release()
        first.final(one)
        second.final(two)
    assert [each["guest_path"] for each in guests.row(web)["workspaces"]] == [
        "/root/repo",
        "/root/quick",
    ]


def test_another_vm_and_a_plan_do_not_wait(
    guests: Guests, web: str, slow: Repository, tmp_path: Path
) -> None:
    guests.create("db")
    quick = str(Repository(tmp_path / "quick").path)
    with guests.peer() as peer:
        request = begin(peer, slow)
        guests.call("workspace.prepare", ref="db", path=quick)
        assert guests.call("workspace.plan", path=quick)["commit"] == "a" * 40
        slow.release()
        peer.final(request)
    guests.call("vm.delete", ref="db")


def test_a_change_of_the_vm_meanwhile_loses_nothing(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        guests.call("vm.set", ref=web, labels={"team": "blue"})
        slow.release()
        peer.final(request)
    guests.call("vm.set", ref=web, labels={"stage": "test"})
    row = guests.row(web)
    assert row["labels"] == {"team": "blue", "stage": "test"}
    assert len(row["workspaces"]) == 1


# -- ends -----------------------------------------------------------------------------------


def test_ops_cancel_ends_the_worker_and_lets_it_undo(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        assert _has_open(slow.worker, guests.home.paths.transfers)
        operations = guests.call("ops.list")["operations"]
        running = [each for each in operations if each["state"] == "running"]
        assert [(each["verb"], each["subject"]) for each in running] == [("workspace.prepare", web)]
        assert guests.call("ops.cancel", ref=running[0]["id"])["state"] == "cancelled"
        assert (slow.path / "undone").exists()
        assert slow.worker not in guests.home.processes()
        assert leftovers(guests) == []
        assert refusal(peer, request).code is Code.CANCELLED
    assert guests.row(web)["workspaces"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_cancels_it(
    guests: Guests, web: str, slow: Repository, number: signal.Signals
) -> None:
    argv = [sys.executable, "-m", "cli", "vm", "workspace", "prepare", web, str(slow.path)]
    environment = guests.home.environment
    with subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE) as command:
        eventually(lambda: (slow.path / "child").exists())
        command.send_signal(number)
        _, err = command.communicate(timeout=30)
    assert command.returncode == 128 + number, err
    assert (slow.path / "undone").exists()
    assert slow.worker not in guests.home.processes()
    assert leftovers(guests) == []


def test_a_command_that_is_killed_cancels_nothing(
    guests: Guests, web: str, slow: Repository
) -> None:
    argv = [sys.executable, "-m", "cli", "vm", "workspace", "prepare", web, str(slow.path)]
    with subprocess.Popen(argv, cwd=REPOSITORY, env=guests.home.environment) as command:
        eventually(lambda: (slow.path / "child").exists())
        command.kill()
    slow.release()
    eventually(lambda: guests.row(web)["workspaces"])


def test_a_worker_that_is_killed_harms_its_transfer_alone(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        kill(slow.worker)
        error = refusal(peer, request)
    assert error.code is Code.INTERNAL
    assert "was killed by signal 9" in error.message
    assert "workspaces.log" in error.hint
    eventually(lambda: leftovers(guests) == [])
    guests.call("workspace.prepare", ref=web, path=str(slow.path.parent))


def test_what_a_worker_said_last_is_in_the_log(guests: Guests, web: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "src", "exit")
    error = error_of(lambda: guests.call("workspace.prepare", ref=web, path=str(repository.path)))
    assert error.code is Code.INTERNAL
    lines = guests.home.paths.log_file("workspaces").read_text().splitlines()
    assert ["no outcome"] in [json.loads(line).get("stderr") for line in lines]


def test_a_service_that_is_killed_takes_its_workers_with_it_and_the_command_goes_on(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        first = slow.worker
        (slow.path / "script").write_text("say again")
        kill(guests.stack.pid("workspaces"))
        peer.final(request)  # the api asks the next service, which does not wait for the worker
    eventually((slow.path / "undone").exists)
    eventually(lambda: first not in guests.home.processes())
    assert len(guests.row(web)["workspaces"]) == 1


def test_a_service_that_is_stopped_ends_its_workers(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        (slow.path / "script").write_text("say again")
        os.kill(guests.stack.pid("workspaces"), signal.SIGTERM)
        peer.final(request)
    assert (slow.path / "undone").exists()


def test_an_api_that_is_killed_forgets_a_transfer_that_the_next_prepare_finds_done(
    guests: Guests, web: str, slow: Repository, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "cli", "vm", "workspace", "prepare", web, str(slow.path)]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, env=guests.home.environment, stdout=subprocess.PIPE
    ) as command:
        eventually(lambda: (slow.path / "child").exists())
        (slow.path / "script").write_text("say again")
        kill(guests.stack.pid("api"))
        slow.release()
        command.communicate(timeout=30)
    assert command.returncode == 0  # it has asked again
    assert len(guests.row(web)["workspaces"]) == 1


# -- the VM meanwhile ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["vm.stop", "vm.delete", "vm.kill"])
def test_a_vm_is_not_held_by_its_transfer(
    guests: Guests, web: str, slow: Repository, verb: str
) -> None:
    (slow.path / "script").write_text((slow.path / "script").read_text() + "\nfail lost")
    with guests.peer() as peer:
        request = begin(peer, slow)
        assert [each["vm"]["name"] for each in guests.call("vm.list")["vms"]] == [web]
        guests.call(verb, ref=web)
        slow.release()
        error = refusal(peer, request)
    assert error.code is Code.LOST
    ended = "was deleted" if verb == "vm.delete" else "was stopped"
    assert error.message.startswith(f"web {ended} during the transfer")


def test_run_rm_takes_out_and_deletes_and_keeps_what_it_cannot_take_out(
    guests: Guests, tmp_path: Path
) -> None:
    good = Repository(tmp_path / "good").path
    words = ["--rm", *SIZES, "--apply", "--export", str(tmp_path / "p"), "--", "sh", "-c"]
    status, _, err = guests.banger("vm", "run", str(good), *words, "exit 3")
    assert (status, "applied to" in err) == (3, True), err
    assert (tmp_path / "p").read_text() == "patch of /root/repo\n"
    assert guests.leftovers() == NOTHING

    bad = Repository(tmp_path / "bad").path
    run = [sys.executable, "-m", "cli", "vm", "run", str(bad), "--name", "kept"]
    argv = [*run, *words, "read line; exit 3"]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, env=guests.home.environment,
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as command:  # fmt: skip
        eventually(lambda: guests.state("kept") == "running" and guests.row("kept")["workspaces"])
        (bad / "script").write_text("fail conflict")
        _, said = command.communicate(b"go\n", timeout=30)
    assert command.returncode == 3
    assert b"Keeping kept despite --rm" in said
    assert guests.row("kept")["lease"] == ""
    guests.call("vm.delete", ref="kept")


# -- what is said ---------------------------------------------------------------------------


def test_a_repository_that_has_moved_is_told_of_once(
    guests: Guests, web: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "src")
    head = repository.path / ".git" / "HEAD"
    head.parent.mkdir()
    head.write_text("b" * 40)
    guests.call("workspace.prepare", ref=web, path=str(repository.path))
    head.write_text("c" * 40)
    status, _, first = guests.banger("vm", "exec", web, "--", "true")
    assert status == 0
    assert "has moved from bbbbbbb to ccccccc since it was prepared" in first
    assert "has moved" not in guests.banger("vm", "exec", web, "--", "true")[2]


def test_nothing_of_a_request_is_in_an_argv_or_a_log(
    guests: Guests, web: str, slow: Repository
) -> None:
    with guests.peer() as peer:
        request = begin(peer, slow)
        pid = slow.worker
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
        slow.release()
        peer.final(request)
    for log in guests.home.paths.logs.iterdir():
        assert SECRET.encode() not in log.read_bytes()


def test_the_idle_service_is_small(guests: Guests) -> None:
    """It reads no repository and reaches no guest."""
    pid = guests.stack.pid("workspaces")
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert not any(name in maps for name in ("sqlalchemy", "cryptography", "asyncssh"))
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    private = sum(
        int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")
    )
    assert private < 40_000  # KiB
