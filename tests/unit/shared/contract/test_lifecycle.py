"""What each verb means in each state: the whole matrix, and the document printed from it."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from shared.contract.lifecycle import LIVE, PRUNABLE, TABLE, Action, check, states_for
from shared.contract.messages.vm import State
from shared.errors import BangerError

ROOT = Path(__file__).parents[4]
MATRIX = """
state    start    stop    kill    session     restart  pause       resume      resize
created  act      nothing nothing not_running act      not_running not_running act
starting act      act     act     not_running conflict conflict    conflict    conflict
running  nothing  act     act     act         act      act         nothing     conflict
paused   conflict act     act     not_running act      nothing     act         conflict
suspended act     nothing nothing not_running conflict not_running act         conflict
stopping conflict act     act     not_running conflict conflict    conflict    conflict
stopped  act      nothing nothing not_running act      not_running not_running act
failed   act      act     act     not_running act      not_running not_running act
"""
SAVING = """
state     suspend     snapshot    restore  fork
created   not_running not_running act      not_running
starting  conflict    conflict    conflict conflict
running   act         act         act      act
paused    act         act         act      act
suspended nothing     act         act      act
stopping  conflict    conflict    conflict conflict
stopped   not_running act         act      act
failed    not_running conflict    act      conflict
"""
ROWS = [
    [*line.split(), *more.split()[1:]]
    for line, more in zip(MATRIX.strip().splitlines(), SAVING.strip().splitlines(), strict=True)
]
CELLS = [
    (row[0], verb, expected)
    for row in ROWS[1:]
    for verb, expected in zip(ROWS[0][1:], row[1:], strict=True)
]
REFUSED = [(state, verb) for state, verb, answer in CELLS if answer in ("conflict", "not_running")]


def outcome(state: State, verb: Action) -> str:
    try:
        return "act" if check("beta", state, verb) else "nothing"
    except BangerError as error:
        return error.code.value


@pytest.mark.parametrize(("state", "verb", "expected"), CELLS)
def test_verb_in_state(state: State, verb: str, expected: str) -> None:
    assert outcome(state, Action(verb)) == expected


@pytest.mark.parametrize(("state", "hint"), [("starting", "logs -f beta"), ("stopping", "stopped")])
def test_who_comes_too_soon_is_told_to_wait(state: State, hint: str) -> None:
    with pytest.raises(BangerError) as caught:
        check("beta", state, Action.SESSION)
    assert caught.value.hint.startswith("wait until")
    assert hint in caught.value.hint


def test_every_state_and_verb_has_its_cell() -> None:
    assert [row[0] for row in ROWS[1:]] == list(get_args(State)) == list(TABLE)
    assert ROWS[0][1:] == [verb.value for verb in Action]
    assert len(CELLS) == len(get_args(State)) * len(Action)


@pytest.mark.parametrize(("state", "verb"), REFUSED)
def test_refusal_names_the_vm_its_state_and_the_next_step(state: State, verb: str) -> None:
    with pytest.raises(BangerError) as caught:
        check("beta", state, Action(verb))
    assert f"beta is {state}" in caught.value.message
    assert "banger vm" in caught.value.hint
    assert "beta" in caught.value.hint


def test_running_vm_answers_start_with_success_so_that_scripts_may_repeat_it() -> None:
    assert check("beta", "running", Action.START) is False


def test_live_states_are_those_in_which_there_is_something_to_stop() -> None:
    assert states_for(Action.STOP) == LIVE | {"failed"}, "a failed VM may have a VMM still"


@pytest.mark.parametrize("action", [Action.SESSION, Action.PAUSE])
def test_what_needs_the_guest_says_how_a_suspended_vm_comes_back(action: Action) -> None:
    with pytest.raises(BangerError) as caught:
        check("beta", "suspended", action)
    assert caught.value.hint == "resume it: banger vm resume beta"


def test_a_restart_does_not_drop_the_memory_of_a_suspended_vm_by_the_way() -> None:
    with pytest.raises(BangerError) as caught:
        check("beta", "suspended", Action.RESTART)
    assert "--discard-memory beta" in caught.value.hint


def test_a_prune_takes_no_vm_with_a_vmm_or_a_memory() -> None:
    assert set(get_args(State)) - LIVE - {"suspended"} == PRUNABLE


def test_document_is_what_the_table_says() -> None:
    script = ROOT / "scripts" / "lifecycle_table.py"
    printed = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    document = ROOT / "docs" / "lifecycle.md"
    assert document.read_text() == printed.stdout, "run: python scripts/lifecycle_table.py --write"
