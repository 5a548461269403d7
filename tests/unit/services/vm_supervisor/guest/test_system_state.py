"""How far a guest's systemd is: what systemctl prints, and what is asked of the guest."""

import subprocess

from services.vm_supervisor.guest.system_state import (
    MOST_UNITS,
    WAIT,
    WORD_LENGTH,
    parse_state,
)
from shared.contract.messages.machine import SystemState


def test_a_system_that_runs() -> None:
    assert parse_state("running\n") == SystemState(state="running")


def test_a_degraded_system_names_its_failed_units() -> None:
    output = "degraded\na.service loaded failed failed A\n\nb.mount loaded failed failed B\n"
    assert parse_state(output) == SystemState(state="degraded", failed=["a.service", "b.mount"])


def test_a_guest_without_systemd_has_nothing_to_wait_for() -> None:
    assert parse_state("") == SystemState(state="")


def test_what_a_hostile_guest_prints_is_bounded_and_clean() -> None:
    told = parse_state("\x1b[2J" + "x" * 10_000 + "\n" + "y" * 1000 + "\nz\n" * 1000)
    assert len(told.state) <= WORD_LENGTH
    assert told.state.isprintable()
    assert len(told.failed) == MOST_UNITS
    assert all(len(unit) <= WORD_LENGTH for unit in told.failed)


def test_the_question_is_a_valid_script() -> None:
    subprocess.run(["sh", "-n", "-c", WAIT], check=True)
