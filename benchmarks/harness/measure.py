"""Timing in pairs: A B A B …, so that a machine that speeds up or slows down does it to both.

A figure is a median; a bar is held against the ratio of two medians of the same run, or, where the
product promises seconds, against seconds.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the report. ``value`` is ``measured`` over ``reference`` when there is one."""

    name: str
    unit: str
    measured: float
    bar: float
    reference: float | None = None
    against: str = ""
    runs: int = 0

    @property
    def value(self) -> float:
        return self.measured / self.reference if self.reference else self.measured

    @property
    def met(self) -> bool:
        return self.value <= self.bar


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median(values: list[float]) -> float:
    return statistics.median(values)


def paired(
    one: Callable[[], object],
    other: Callable[[], object],
    *,
    runs: int,
    warm_up: int = 1,
    before: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Median seconds of both, taken in turn; ``before`` is called outside the clock."""
    first: list[float] = []
    second: list[float] = []
    for run in range(runs + warm_up):
        before()
        times = seconds(one), seconds(other)
        if run >= warm_up:
            first.append(times[0])
            second.append(times[1])
    return median(first), median(second)


def table(figures: list[Figure]) -> str:
    lines = [f"{'figure':48} {'measured':>12} {'floor':>12} {'value':>8} {'bar':>6}"]
    for figure in figures:
        reference = f"{figure.reference:.4g} {figure.unit}" if figure.reference else "-"
        against = f"  ({figure.against})" if figure.against else ""
        lines.append(
            f"{figure.name:48} {figure.measured:10.4g} {figure.unit:2} {reference:>11} "
            f"{figure.value:8.3g} {figure.bar:6.4g} {'met' if figure.met else 'NOT MET'}{against}"
        )
    return "\n".join(lines) + "\n"
