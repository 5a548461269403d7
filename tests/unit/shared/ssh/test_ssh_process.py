"""One run of ssh, played by other programs."""

import os
import select
import signal

import pytest

from shared.errors import BangerError, Code
from shared.ssh.ssh_process import SshProcess


def ended(process: SshProcess) -> int:
    """Its status, once the descriptor says that there is one."""
    poll = select.poll()
    poll.register(process.pidfd, select.POLLIN)
    assert poll.poll(50_000)
    return process.wait()


@pytest.mark.parametrize("status", [0, 42, 255])
def test_the_status_is_the_programs(status: int) -> None:
    assert ended(SshProcess(["sh", "-c", f"exit {status}"], quiet=True)) == status


def test_a_signal_is_a_negative_status() -> None:
    process = SshProcess(["sleep", "60"], quiet=True)
    process.send(signal.SIGTERM)
    assert ended(process) == -signal.SIGTERM


def test_quiet_has_no_streams_of_ours(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(SshProcess(["sh", "-c", "echo out; echo err >&2"], quiet=True)) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("own", [True, False])
def test_a_session_of_its_own_has_no_terminal_of_ours(
    capfd: pytest.CaptureFixture[str], own: bool
) -> None:
    assert ended(SshProcess(["sh", "-c", "ps -o sid= -p $$"], own_session=own)) == 0
    assert (int(capfd.readouterr().out) != os.getsid(0)) is own


def test_a_program_that_is_not_there_is_a_missing_tool() -> None:
    with pytest.raises(BangerError) as raised:
        SshProcess(["no-such-program"])
    assert raised.value.code is Code.MISSING_TOOL
