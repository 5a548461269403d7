"""By how much a guest's clock is moved, and what guests do that cannot."""

import base64
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.clock import measure_lag, set_clock
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.guest.scripted_agent import (
    Answer,
    answering,
    soon,
    with_agent,
)
from tests.unit.services.vm_supervisor.scripted_guest import ScriptedGuest


async def lag(agent: Agent) -> int:
    return await measure_lag(agent, soon())


async def adjusted(agent: Agent) -> None:
    await set_clock(agent, soon())


def moved_us(guest: ScriptedGuest) -> int:
    """What the guest was told, which has been told once."""
    (executed,) = guest.executed
    seconds, micros = struct.unpack_from("<qq", base64.b64decode(executed["input-data"]))
    return int(seconds * 1_000_000 + micros)


@pytest.mark.parametrize("behind", [0.4, -3.0, 31 * 86400.0])
def test_a_clock_is_moved_by_what_it_is_behind(tmp_path: Path, behind: float) -> None:
    guest = ScriptedGuest(behind=behind)
    with_agent(tmp_path / "a", answering(guest), adjusted)
    assert moved_us(guest) == pytest.approx(behind * 1e6, abs=50_000)


def test_a_clock_that_is_right_is_left_alone(tmp_path: Path) -> None:
    guest = ScriptedGuest(behind=0.001)
    with_agent(tmp_path / "a", answering(guest), adjusted)
    assert guest.executed == []


def test_the_quickest_answer_counts(tmp_path: Path) -> None:
    """A guest that is busy reads its clock, and is late to say so."""
    waits = [0.2, 0.15, 0.0]

    def busy(request: dict[str, Any]) -> dict[str, Any]:
        if request["execute"] != "guest-get-time":
            return {"return": {}}
        read = time.time_ns() - 10_000_000_000
        time.sleep(waits.pop(0))  # as long as the answer is on its way
        return {"return": read}

    measured = with_agent(tmp_path / "a", answering(busy), lag)
    assert measured == pytest.approx(10_000_000, abs=50_000)
    assert waits == []


def answers(value: Any) -> Answer:
    return lambda request: {"return": value if request["execute"] == "guest-get-time" else {}}


@pytest.mark.parametrize("lie", [-1, 1 << 62, 1 << 80, "now", None, [1], 1.5, {}])
def test_a_time_that_is_none_is_an_error(tmp_path: Path, lie: Any) -> None:
    with pytest.raises(BangerError) as refused:
        with_agent(tmp_path / "a", answering(answers(lie)), adjusted)
    assert refused.value.code is Code.GUEST_FAILED


def test_the_greatest_times_are_moved_as_any(tmp_path: Path) -> None:
    greatest = (1 << 62) - 1
    expected = (time.time_ns() - greatest) // 1000
    measured = with_agent(tmp_path / "a", answering(answers(greatest)), lag)
    assert measured == pytest.approx(expected, abs=10_000_000)


def test_a_guest_of_an_older_banger_is_told_the_time(tmp_path: Path) -> None:
    told: list[int] = []

    def older(request: dict[str, Any]) -> dict[str, Any]:
        match request["execute"]:
            case "guest-get-time":
                return {"return": 0}
            case "guest-exec":
                return {"error": {"desc": "Failed to execute child process (No such file)"}}
            case "guest-set-time":
                told.append(request["arguments"]["time"])
        return {"return": {}}

    with_agent(tmp_path / "a", answering(older), adjusted)
    assert told[0] == pytest.approx(time.time_ns(), abs=10_000_000_000)


def test_a_guest_that_may_not_set_its_clock_says_so(tmp_path: Path) -> None:
    def refusing(request: dict[str, Any]) -> dict[str, Any]:
        match request["execute"]:
            case "guest-get-time":
                return {"return": 0}
            case "guest-exec":
                return {"return": {"pid": 7}}
            case "guest-exec-status":
                return {"return": {"exited": True, "exitcode": 1}}
        return {"return": {}}

    with pytest.raises(BangerError, match=r"cannot set its clock \(error 1\)"):
        with_agent(tmp_path / "a", answering(refusing), adjusted)
