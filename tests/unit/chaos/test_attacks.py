"""Whose supervisor may be another one after a flood."""

from tests.chaos.attacks import replaced
from tests.chaos.plan import Fault

FLOOD = Fault("flood guest", "a")


def test_a_supervisor_that_stays_is_no_violation() -> None:
    assert replaced({"a": 10}, {"a": [10]}, [FLOOD]) == []


def test_one_that_a_flood_has_ended_is() -> None:
    (found,) = replaced({"a": 10}, {"a": [11]}, [FLOOD])
    assert "a: a flood of its guest ended its supervisor 10" in found
    assert replaced({"a": 10}, {"a": []}, [FLOOD])


def test_other_faults_of_the_step_may_end_it() -> None:
    assert replaced({"a": 10}, {"a": [11]}, [FLOOD, Fault("kill supervisor", "a")]) == []
