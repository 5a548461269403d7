"""How long what contradicts is looked at, on a clock that only looking and pausing moves."""

from collections.abc import Callable

from tests.chaos.core import SERVICES, Observed, Process, Row
from tests.chaos.settle import BOOT_SECONDS, SETTLE_SECONDS, settle
from tests.waiting import VirtualClock

CORE = tuple(Process(number, name) for number, name in enumerate(SERVICES, 10))  # type: ignore[arg-type]
ANSWERS: tuple[str, ...] = ()
SILENT = ("dns does not answer",)


def looks(clock: VirtualClock, *scripted: tuple[float, Observed]) -> Callable[[], Observed]:
    """Each takes its seconds; the last is what is seen from then on."""
    todo = list(scripted)

    def look() -> Observed:
        seconds, seen = todo.pop(0) if len(todo) > 1 else todo[0]
        clock.sleep(seconds)
        return seen

    return look


def observed(complaints: tuple[str, ...], *rows: Row) -> Observed:
    return Observed(rows=rows, processes=CORE, complaints=complaints)


def test_first_look_that_took_long_is_not_the_last() -> None:
    clock = VirtualClock()
    look = looks(clock, (75.0, observed(SILENT)), (1.0, observed(ANSWERS)))
    assert settle(look, clock)[1] == []


def test_what_still_contradicts_after_the_time_is_told() -> None:
    clock = VirtualClock()
    _, found, seconds = settle(looks(clock, (1.0, observed(SILENT))), clock)
    assert found
    assert SETTLE_SECONDS < seconds < SETTLE_SECONDS + 5


def test_a_boot_is_waited_for_and_no_longer_than_a_boot_takes() -> None:
    clock = VirtualClock()
    booting = observed(SILENT, Row("a" * 12, "alpha", "starting", "10.77.0.2"))
    _, found, seconds = settle(looks(clock, (1.0, booting)), clock)
    assert found
    assert BOOT_SECONDS < seconds < BOOT_SECONDS + 5
