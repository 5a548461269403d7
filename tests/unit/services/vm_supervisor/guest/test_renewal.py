"""What a copy is told, and that whatever it answers it is renewed or not used."""

import base64
import struct
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.guest import adjust
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.renewal import hand_over, renew
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.guest.scripted_agent import (
    Answer,
    answering,
    with_agent,
)
from tests.unit.services.vm_supervisor.scripted_guest import ScriptedGuest

MACS = ("02:00:00:00:00:01",)
IDENTITY = {"identity": "hostname='it'\"'\"'s'\n", "host_key": "KEY\n", "authorized_keys": "A\nB\n"}


def renewed(path: Path, answer: Answer, *, template: bool = False, seconds: float = 10.0) -> None:
    async def use(agent: Agent) -> None:
        await renew(agent, IDENTITY, MACS, time.monotonic() + seconds, template=template)

    with_agent(path, answering(answer), use)


def environment(executed: dict[str, Any]) -> dict[str, str]:
    return dict(each.split("=", 1) for each in executed["env"])


def test_a_copy_is_told_who_it_is_in_one_call(tmp_path: Path) -> None:
    guest = ScriptedGuest(behind=5)
    renewed(tmp_path / "a", guest)
    (executed,) = guest.executed
    assert [executed["path"], *executed["arg"]] == [
        "/run/initramfs/bin/sh",
        "/run/initramfs/renew",
    ]
    told = environment(executed)
    assert {name: told[name] for name in IDENTITY} == IDENTITY
    assert told["template"] == ""
    message = base64.b64decode(executed["input-data"])
    assert message[88:] == adjust.message(0, bytes(adjust.SEED_BYTES), MACS)[88:]


def test_no_two_copies_are_told_the_same(tmp_path: Path) -> None:
    guest = ScriptedGuest()
    renewed(tmp_path / "a", guest, template=True)
    renewed(tmp_path / "b", guest, template=True)
    boots = {str(uuid.UUID(environment(each)["boot_id"])) for each in guest.executed}
    seeds = {base64.b64decode(each["input-data"])[24:88] for each in guest.executed}
    assert len(boots) == len(seeds) == 2
    assert environment(guest.executed[0])["template"] == "yes"


def test_a_guest_that_has_waited_is_told_its_name_in_one_call(tmp_path: Path) -> None:
    guest = ScriptedGuest(behind=3600)

    async def use(agent: Agent) -> None:
        await hand_over(agent, "web", time.monotonic() + 10)

    with_agent(tmp_path / "a", answering(guest), use)
    (executed,) = guest.executed
    assert executed["arg"] == ["/run/initramfs/hand_over"]
    assert environment(executed) == {"name": "web"}
    seconds, *_, seed = struct.unpack("<qqii64s32x", base64.b64decode(executed["input-data"]))
    assert 3599 <= seconds <= 3601
    assert any(seed)


def ending(**status: Any) -> Answer:
    """A guest whose script ends so."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        match request["execute"]:
            case "guest-get-time":
                return {"return": time.time_ns()}
            case "guest-exec":
                return {"return": {"pid": 7}}
            case "guest-exec-status":
                return {"return": {"exited": True, **status}}
        return {"return": {}}

    return answer


def text(words: bytes) -> str:
    return base64.b64encode(words).decode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ending(exitcode=1, **{"err-data": text(b"noise\nno device\n")}), "own: no device"),
        (ending(exitcode=1, **{"err-data": text(b"\x1b[2J\xff\n")}), "own: "),
        (ending(exitcode=3), "own: its script ended with 3"),
        (ending(signal=9), "own: its script ended with -9"),
        (ending(), "did not report how"),
        (ending(exitcode="0"), "invalid answer"),
        (ending(exitcode=1 << 40), "invalid answer"),
        (ending(exitcode=0, **{"err-data": 5}), "invalid answer"),
        (lambda _: {"return": {}}, "invalid answer"),
        (lambda _: {"return": time.time_ns()}, "invalid answer"),
        (lambda _: {"error": {"desc": "No such file or directory"}}, "No such file"),
    ],
)
def test_whatever_a_guest_answers_a_copy_that_is_not_renewed_is_an_error(
    tmp_path: Path, answer: Answer, words: str
) -> None:
    def pinging(request: dict[str, Any]) -> dict[str, Any] | None:
        return {"return": {}} if request["execute"] == "guest-ping" else answer(request)

    with pytest.raises(BangerError) as failed:
        renewed(tmp_path / "a", pinging)
    assert failed.value.code is Code.GUEST_FAILED
    assert words in failed.value.message
    assert failed.value.message.isprintable()
    assert len(failed.value.message) < 500


@pytest.mark.parametrize("silent", ["guest-get-time", "guest-exec", "guest-exec-status"])
def test_a_guest_that_falls_silent_is_an_error_at_the_deadline(tmp_path: Path, silent: str) -> None:
    with pytest.raises(BangerError, match="did not answer") as failed:
        renewed(tmp_path / "a", ScriptedGuest(silent=silent), seconds=0.2)
    assert failed.value.code is Code.GUEST_FAILED


def test_a_script_that_does_not_end_is_an_error_at_the_deadline(tmp_path: Path) -> None:
    hanging = ending(exitcode=0)

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["execute"] == "guest-exec-status":
            return {"return": {"exited": False}}
        return hanging(request)

    with pytest.raises(BangerError) as failed:
        renewed(tmp_path / "a", answer, seconds=0.2)
    assert failed.value.code is Code.GUEST_FAILED
