"""Commands run by the agent: what is asked of it, and what is kept of its answer."""

import base64
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.commands import CAPTURED_BYTES, execute
from shared.contract.guest_command import VARIABLE, GuestCommand, text_of
from shared.contract.messages.vm_request import GuestExec, GuestOutput
from shared.host.process import start_time
from tests.scripted.ssh_sessions import Guest
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering, soon, with_agent


def run(path: Path, request: GuestExec, **status: Any) -> tuple[GuestOutput, dict[str, Any]]:
    """What comes back, and what the agent was asked."""
    asked: list[dict[str, Any]] = []

    def answer(sent: dict[str, Any]) -> dict[str, Any]:
        asked.append(sent)
        if sent["execute"] == "guest-exec":
            return {"return": {"pid": 7}}
        return {"return": {"exited": True} | status}

    async def use(agent: Agent) -> GuestOutput:
        return await execute(agent, request, soon())

    done = with_agent(path / "a", answering(answer), use)
    return done, next(each["arguments"] for each in asked if each["execute"] == "guest-exec")


def test_the_guests_program_gets_the_command_in_a_variable(tmp_path: Path) -> None:
    request = GuestExec(text="set -- id", stdin=b"in", seconds=9)
    done, asked = run(tmp_path, request, exitcode=42, **{"out-data": "aGk="})
    assert (asked["path"], asked["arg"]) == ("/run/banger/exec", ["captured", "9"])
    assert "BANGER_EXEC=set -- id" in asked["env"]
    assert "HOME=/root" in asked["env"]
    assert base64.b64decode(asked["input-data"]) == b"in"
    assert done == GuestOutput(status=42, stdout=b"hi", stderr=b"")


def test_the_guests_program_ends_a_command_whose_time_is_up() -> None:
    """With all that it has started: its own parent has a session of its own."""
    machine = Guest()
    script = "trap '' TERM; sleep 600 & echo $!; wait; wait"
    text = text_of(GuestCommand(["sh", "-c", script]), "0" * 16)
    done = subprocess.run(
        [machine.program, "captured", "1"], env={**os.environ, VARIABLE: text},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    machine.close()
    assert done.returncode in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    assert start_time(int(done.stdout)) is None


def test_a_users_name_is_no_pattern() -> None:
    machine = Guest()
    text = text_of(GuestCommand(["id"], user="r..t"), "0" * 16)
    done = subprocess.run(
        [machine.program, "captured", "9"], env={**os.environ, VARIABLE: text},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    machine.close()
    assert (done.returncode, done.stdout) == (3, b"")


def test_what_a_guest_sends_beyond_its_limit_is_cut(tmp_path: Path) -> None:
    flood = base64.b64encode(b"x" * (CAPTURED_BYTES + 1)).decode()
    done, _ = run(tmp_path, GuestExec(text=""), signal=9, **{"err-data": flood})
    assert (done.status, len(done.stderr)) == (137, CAPTURED_BYTES)
