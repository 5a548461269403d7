"""Timing in pairs: A B A B …, so that a machine that speeds up or slows down does it to both.

A figure is a ratio of two medians of the same run. Its bar is held against the ratio; where the
product promises an absolute value (seconds, bytes), that is its limit.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Pair = tuple[float, float]
"""What was measured of the product, and of its reference right after it."""


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    name: str
    unit: str
    """Of ``measured``, ``reference`` and ``limit``."""
    measured: float
    reference: float
    against: str
    """What the reference is: a floor, or a peer."""
    runs: int
    bar: float | None = None
    """The most that the ratio may be."""
    limit: float | None = None
    """The most that ``measured`` may be."""

    @property
    def ratio(self) -> float:
        return self.measured / self.reference

    @property
    def met(self) -> bool:
        """Whether the bar and the limit hold, where there are any."""
        return (self.bar is None or self.ratio <= self.bar) and (
            self.limit is None or self.measured <= self.limit
        )


class NotHere(Exception):
    """A benchmark cannot run on this host; the text says what it needs."""


def seconds(action: Callable[[], object]) -> float:
    """How long ``action`` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def medians(pairs: Sequence[Pair]) -> Pair:
    """The median of the first values, and that of the second ones."""
    first, second = zip(*pairs, strict=True)
    return median(first), median(second)


def paired(
    one: Callable[[], object],
    other: Callable[[], object],
    *,
    runs: int,
    warm_up: int = 0,
    before: Callable[[], object] = lambda: None,
) -> Pair:
    """Median seconds of both, taken in turn. The first ``warm_up`` pairs do not count; ``before``
    is called ahead of each pair, outside the clock."""
    pairs = []
    for _ in range(warm_up + runs):
        before()
        pairs.append((seconds(one), seconds(other)))
    return medians(pairs[warm_up:])


def heading() -> str:
    """The first line of the table."""
    columns = f"{'measured':>12} {'reference':>12} {'ratio':>7} {'bar':>6} {'limit':>9}"
    return f"{'figure':48} {columns} {'':7}  against\n"


def line(figure: Figure) -> str:
    """A line of the table."""
    bar = f"{figure.bar:.4g}" if figure.bar is not None else "-"
    limit = f"{figure.limit:.4g} {figure.unit}" if figure.limit is not None else "-"
    judged = figure.bar is not None or figure.limit is not None
    verdict = ("met" if figure.met else "NOT MET") if judged else ""
    return (
        f"{figure.name:48} {figure.measured:9.4g} {figure.unit:2} {figure.reference:9.4g} "
        f"{figure.unit:2} {figure.ratio:7.3g} {bar:>6} {limit:>9} {verdict:7}  {figure.against}\n"
    )
