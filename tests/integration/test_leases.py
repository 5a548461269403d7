"""``vm run --rm`` whose client is killed, while services live, die, or are restarted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.home import REPOSITORY
from tests.integration.guests import NOTHING, SIZES, Guests, kill
from tests.waiting import eventually


@contextmanager
def running(guests: Guests, name: str, script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """``vm run --rm`` whose command has printed its first line."""
    words = ("vm", "run", "--rm", "--name", name, *SIZES, "--", "sh", "-c", script)
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        cwd=REPOSITORY,
        env=guests.home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_client_leaves_neither_command_nor_vm(guests: Guests) -> None:
    with running(guests, "brief", "echo $$; exec sleep 999") as process:
        assert process.stdout
        command = int(process.stdout.readline())
        process.kill()
    eventually(lambda: guests.leftovers() == NOTHING, patience=20)
    eventually(lambda: _gone(command), patience=20)
    assert not list(guests.home.paths.leases.iterdir())


def _gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_an_api_that_starts_again_leaves_the_vm_of_a_living_client(guests: Guests) -> None:
    with running(guests, "lasting", "echo up; read x; exit 42") as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        api = guests.stack.pid("api")
        kill(api)
        eventually(lambda: guests.stack.registered().get("api") not in (None, api))
        with running(guests, "brief", "echo up; exec sleep 999") as other:
            assert other.stdout
            assert other.stdout.readline() == b"up\n"
            other.kill()
        eventually(lambda: guests.state("brief") == "gone", patience=20)  # it looks at leases
        assert guests.state("lasting") == "running"
        process.communicate(b"\n", timeout=20)
        assert process.returncode == 42
    assert guests.leftovers() == NOTHING


def test_a_client_that_is_killed_while_no_api_runs_is_missed_by_the_next(guests: Guests) -> None:
    with running(guests, "brief", "echo up; exec sleep 999") as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        api = guests.stack.pid("api")
        os.kill(api, signal.SIGSTOP)
        process.kill()
        kill(api)
    eventually(lambda: guests.leftovers() == NOTHING, patience=20)
