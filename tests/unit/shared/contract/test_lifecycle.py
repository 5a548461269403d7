"""What each verb means in each state: the whole matrix, and the document printed from it."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from shared.contract.lifecycle import LIVE, TABLE, Action, check, states_for
from shared.contract.messages.vm import State
from shared.errors import BangerError

ROOT = Path(__file__).parents[4]
MATRIX = """
state    start    stop    kill    session     restart  pause       resume      resize
created  act      nothing nothing not_running act      not_running not_running act
starting act      act     act     not_running conflict conflict    conflict    conflict
running  nothing  act     act     act         act      act         nothing     conflict
paused   conflict act     act     not_running act      nothing     act         conflict
stopping conflict act     act     not_running conflict conflict    conflict    conflict
stopped  act      nothing nothing not_running act      not_running not_running act
failed   act      act     act     not_running act      not_running not_running act
"""
ROWS = [line.split() for line in MATRIX.strip().splitlines()]
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


def test_document_is_what_the_table_says() -> None:
    script = ROOT / "scripts" / "lifecycle_table.py"
    printed = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    document = ROOT / "docs" / "lifecycle.md"
    assert document.read_text() == printed.stdout, "run: python scripts/lifecycle_table.py --write"
