"""When a VM is idle, and for how long."""

from typing import Any

import pytest

from services.api.machines.idleness import (
    AFTER_NOTHING,
    FIRST_LOOK,
    Idleness,
    Look,
    limit_of,
    why_awake,
)
from shared.contract.messages.machine import Activity
from tests.example import example_vm

BEFORE = Activity(at=100.0, cpu_seconds=10.0, connections=0, traffic=1000)


def look(*, sessions: int = 0, work: str = "", **activity: Any) -> Look:
    """A look a hundred seconds after ``BEFORE``, at a VM that has done nothing else."""
    seen: dict[str, Any] = {"at": 200.0, "cpu_seconds": 10.0, "connections": 0, "traffic": 1000}
    return Look(Activity(**seen | activity), sessions, work)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (look(), ""),
        (look(cpu_seconds=16.0), ""),
        (look(cpu_seconds=16.1), "its processor is busy (6 %)"),
        (look(traffic=1000 + 25_600), ""),
        (look(traffic=1000 + 25_601), "its network is busy"),
        (look(sessions=1), "1 session (ssh, exec, cp or the console)"),
        (look(connections=2), "2 connections to its ports"),
        (look(work="vm.fork"), "vm.fork is under way"),
        (look(inhibitor="apt (systemd-inhibit)"), "apt (systemd-inhibit)"),
        (look(mute=True), "its agent does not answer, so nobody knows what it does"),
        (look(at=100.0), FIRST_LOOK),
        (look(cpu_seconds=9.0), FIRST_LOOK),  # another VMM
    ],
)
def test_a_vm_is_idle_unless_something_of_it_is_used(seen: Look, reason: str) -> None:
    assert why_awake(BEFORE, seen, 6.0) == reason


def test_the_first_look_proves_nothing() -> None:
    assert why_awake(None, look(), 6.0) == FIRST_LOOK
    assert why_awake(None, look(sessions=1), 6.0) != FIRST_LOOK


def test_a_limit_of_its_own_stands_before_that_of_the_configuration() -> None:
    assert limit_of(example_vm(), 60.0) == 60.0
    assert limit_of(example_vm(idle_suspend=5.0), 60.0) == 5.0
    assert limit_of(example_vm(idle_suspend=0.0), 60.0) == 0.0


def at(seconds: float, **activity: Any) -> Look:
    return look(at=seconds, **activity)


def test_idle_time_begins_with_the_last_use_and_is_due_at_the_limit() -> None:
    idleness = Idleness(6.0)
    for now in (0.0, 10.0, 20.0):
        idleness.note("vm", at(now), now)
        assert idleness.is_due("vm", 20.0, now) == (now == 20.0)
    idleness.note("vm", at(30.0, connections=1), 30.0)
    assert not idleness.is_due("vm", 20.0, 30.0)
    assert idleness.awake["vm"] == "1 connection to its ports"
    idleness.note("vm", at(40.0), 40.0)
    assert not idleness.is_due("vm", 20.0, 40.0)
    idleness.note("vm", at(50.0), 50.0)
    assert idleness.is_due("vm", 20.0, 50.0)
    assert not idleness.is_due("vm", 0.0, 50.0)


def test_a_vm_that_was_forgotten_begins_anew() -> None:
    idleness = Idleness(6.0)
    for now in (0.0, 10.0):
        idleness.note("vm", at(now), now)
    idleness.keep_only([])
    assert not idleness.is_due("vm", 5.0, 10.0)
    assert (idleness.awake, idleness.idle_for("vm", 10.0)) == ({}, 0.0)


def test_a_vm_that_a_scan_of_ports_has_woken_is_due_soon() -> None:
    idleness = Idleness(6.0)
    for now in (0.0, 10.0, AFTER_NOTHING):
        idleness.note("vm", at(now, for_nothing=True), now)
    assert idleness.is_due("vm", 3600.0, AFTER_NOTHING)
    idleness.note("vm", at(70.0), 70.0)
    assert not idleness.is_due("vm", 3600.0, 70.0)
