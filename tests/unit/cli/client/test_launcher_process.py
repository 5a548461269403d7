"""The launcher as a process, played by one that holds its lock."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli.client import launcher_process
from cli.client.launcher_process import launcher_pid, stop_launcher
from shared.errors import BangerError, Code
from tests.home import REPOSITORY
from tests.unit.cli.conftest import Cli

LAUNCHER = """
import signal, sys
from pathlib import Path
from shared.host.locks import Lock
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = Lock.try_acquire(Path(sys.argv[1]) / "launcher.lock")
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def launcher(cli: Cli, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    cli.paths.state.mkdir(mode=0o700, parents=True)
    argv = [sys.executable, "-c", LAUNCHER, str(cli.paths.state), request.param]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def test_without_a_launcher_there_is_nothing_to_stop(cli: Cli) -> None:
    assert launcher_pid(cli.paths) is None
    assert stop_launcher(cli.paths) is False


@pytest.mark.parametrize("launcher", ["obedient"], indirect=True)
def test_it_is_found_by_its_lock_and_ended_by_a_signal(
    cli: Cli, launcher: "subprocess.Popen[bytes]"
) -> None:
    assert launcher_pid(cli.paths) == launcher.pid
    assert stop_launcher(cli.paths) is True
    assert launcher.wait(10) == -15
    assert launcher_pid(cli.paths) is None


@pytest.mark.parametrize("launcher", ["stubborn"], indirect=True)
def test_one_that_does_not_end_is_named_with_its_log(
    cli: Cli, launcher: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_process, "STOP_SECONDS", 0.05)
    with pytest.raises(BangerError, match=f"pid {launcher.pid}") as raised:
        stop_launcher(cli.paths)
    assert raised.value.code is Code.TIMEOUT
    assert "launcher" in raised.value.hint
