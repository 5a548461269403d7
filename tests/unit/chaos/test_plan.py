"""The same seed gives the same faults, of every kind and within the restart intensity."""

from collections import Counter
from itertools import islice

from tests.chaos.plan import (
    ALONE,
    ENDS,
    REMEMBERED,
    WEIGHTS,
    Fault,
    Plan,
    disturbed,
    moved,
    rewound,
)

VMS = ("a", "b", "c", "d")


def steps(seed: int, number: int) -> list[list[Fault]]:
    plan = Plan(seed, VMS)
    return [plan.step() for _ in range(number)]


def test_a_seed_can_be_repeated() -> None:
    assert steps(3, 50) == steps(3, 50)
    assert steps(3, 50) != steps(4, 50)


def test_every_kind_of_fault_comes() -> None:
    assert {fault.kind for step in steps(1, 500) for fault in step} == WEIGHTS.keys()


def test_no_process_is_ended_more_often_than_restarts_are_allowed() -> None:
    found = steps(5, 300)
    for first in range(len(found) - REMEMBERED):
        window = islice(found, first, first + REMEMBERED)
        ends = Counter(f.target for s in window for f in s if f.kind.startswith("kill "))
        assert max(ends.values(), default=0) <= ENDS


def test_one_thing_is_not_done_twice_at_one_moment() -> None:
    for step in steps(6, 300):
        assert len({(fault.kind, fault.target) for fault in step}) == len(step)


def test_nothing_is_killed_at_the_moment_when_the_run_directory_vanishes() -> None:
    vanishing = [step for step in steps(1, 500) if any(f.kind == "vanish run" for f in step)]
    assert vanishing
    assert {fault.kind for step in vanishing for fault in step} <= ALONE


def test_vms_that_may_end_are_known() -> None:
    verbs = (("list", "a"), ("stop", "b"), ("pause+resume", "c"))
    faults = [Fault("kill vmm", "d"), Fault("kill supervisor", "a"), Fault("clients", verbs=verbs)]
    assert disturbed(faults) == {"b", "d"}


def test_vms_that_go_on_elsewhere_are_known() -> None:
    faults = [Fault("suspend guest", "a"), Fault("restore guest", "b"), Fault("fork guest", "c")]
    faults.append(Fault("clients", verbs=(("suspend+resume", "d"), ("list", "c"))))
    assert (moved(faults), rewound(faults), disturbed(faults)) == ({"a", "b", "d"}, {"b"}, set())
