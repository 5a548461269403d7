"""How tests wait, on a virtual clock."""

from collections.abc import Callable

import pytest

from tests.waiting import Deadline, VirtualClock, eventually, last_answer


def true_after(clock: VirtualClock, seconds: float) -> Callable[[], float]:
    """A question whose answer is the time, from ``seconds`` on."""
    return lambda: clock.now() if clock.now() >= seconds else 0.0


def test_the_first_true_answer_is_returned_as_soon_as_it_is_there() -> None:
    clock = VirtualClock()
    assert eventually(true_after(clock, 3), every=2, clock=clock) == 4


def test_a_true_answer_costs_no_time() -> None:
    clock = VirtualClock()
    assert eventually(lambda: "yes", clock=clock) == "yes"
    assert clock.now() == 0


def test_without_one_the_failure_says_what_for_how_long_and_the_last_answer() -> None:
    clock = VirtualClock()
    with pytest.raises(AssertionError) as failed:
        eventually(list, "the list fills", patience=7.5, clock=clock)
    assert str(failed.value) == "the list fills: not within 7.5 s; the last answer was []"
    assert clock.now() >= 7.5


def test_a_question_without_a_name_is_named_by_its_place() -> None:
    with pytest.raises(AssertionError, match=r"tests/unit/test_waiting\.py:\d+: not within 1 s"):
        eventually(lambda: None, patience=1, clock=VirtualClock())


def test_the_last_answer_is_for_callers_that_make_their_own_message() -> None:
    clock = VirtualClock()
    left = iter([["a", "b"], ["b"], []])
    assert last_answer(lambda: not next(left), every=1, clock=clock) is True
    assert last_answer(lambda: "", patience=2, clock=clock) == ""


def test_an_answer_that_comes_while_nobody_could_ask_counts() -> None:
    """The machine was busy: between two questions more time passed than there was."""
    clock = VirtualClock()
    assert eventually(true_after(clock, 50), patience=10, every=60, clock=clock) == 60


def test_a_deadline_is_over_when_its_seconds_have_passed() -> None:
    clock = VirtualClock()
    deadline = Deadline(5, clock)
    clock.sleep(4)
    assert (deadline.left(), deadline.is_over) == (1, False)
    clock.sleep(1)
    assert (deadline.left(), deadline.is_over) == (0, True)
