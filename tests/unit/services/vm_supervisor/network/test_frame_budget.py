"""Frames that are taken in a while, by a clock that the test sets."""

from services.vm_supervisor.network.frame_budget import SHARE_SECONDS, FrameBudget
from tests.waiting import VirtualClock

SHARE = 50
RATE = round(SHARE / SHARE_SECONDS)


def taken(budget: FrameBudget, wanted: int) -> int:
    return sum(budget.take() for _ in range(wanted))


def test_flood_is_cut_to_its_share_at_every_moment() -> None:
    clock = VirtualClock()
    budget = FrameBudget(RATE, clock.now)
    for _ in range(5):
        assert taken(budget, 1000) == SHARE
        clock.sleep(SHARE_SECONDS / 2)
        assert taken(budget, 1000) == 0
        clock.sleep(budget.wait())


def test_second_of_flood_takes_the_rate() -> None:
    clock = VirtualClock()
    budget = FrameBudget(RATE, clock.now)
    total = 0
    while clock.now() < 1.0:
        total += taken(budget, 1000)
        clock.sleep(0.01)
    assert 0.8 * RATE <= total <= 1.1 * RATE


def test_shares_that_were_not_spent_are_not_saved() -> None:
    clock = VirtualClock()
    budget = FrameBudget(RATE, clock.now)
    clock.sleep(60)
    assert taken(budget, 1000) <= 2 * SHARE
