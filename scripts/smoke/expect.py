"""What a scenario says of what it saw. A claim that does not hold ends the scenario."""

import os
from collections.abc import Callable
from typing import TypeVar

from tests.waiting import last_answer

T = TypeVar("T")

SCALE = float(os.environ.get("BANGER_SMOKE_SCALE") or 1)
"""Factor on every deadline, for machines that are slow."""

POLL_SECONDS = 0.1


class Failed(Exception):
    """A claim that did not hold."""


class Skipped(Exception):
    """The scenario cannot be played here; the message says why."""


def scaled(seconds: float) -> float:
    return seconds * SCALE


def equal(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise Failed(f"{what}: {got!r}, wanted {wanted!r}")


def holds(what: str, found: object) -> None:
    if not found:
        raise Failed(what)


def contains(what: str, text: str, part: str) -> None:
    if part not in text:
        raise Failed(f"{what} does not contain {part!r}:\n{text}")


def lacks(what: str, text: str, part: str) -> None:
    if part in text:
        raise Failed(f"{what} contains {part!r}:\n{text}")


def eventually(what: str, question: Callable[[], T], seconds: float = 20.0) -> T:
    """The first true answer, asked for ``seconds`` (scaled).

    Raises:
        Failed: when there was none, with the last answer.
    """
    answer = last_answer(question, patience=scaled(seconds), every=POLL_SECONDS)
    if not answer:
        raise Failed(f"{what}: not within {scaled(seconds):.0f} s; last answer {answer!r}")
    return answer
