"""The progress of a long request on stderr: a spinner on a terminal, else a line for each stage."""

import sys
from collections.abc import Callable
from functools import partial as bind
from typing import TYPE_CHECKING, Any

from cli.terminal.output import colour, note
from shared.plain_text import printable

if TYPE_CHECKING:
    from rich.status import Status

SPEC = "spec"
"""The stage whose message is a fact that stays on the screen: the chosen sizes."""


class Progress:
    """Callable with each partial {stage, message, fraction?}. A context manager.

    Of several requests at once, each is told with its name: ``shown.of("web")(partial)``.
    """

    def __init__(self) -> None:
        self._live = colour(sys.stderr)
        self._told: set[tuple[str, str]] = set()
        self._status: Status | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()
            self._status = None

    def of(self, name: str) -> Callable[[dict[str, Any]], None]:
        """What is called with the partials of one request of several."""
        return bind(self._show, f"{name}: ")

    def __call__(self, partial: dict[str, Any]) -> None:
        self._show("", partial)

    def _show(self, prefix: str, partial: dict[str, Any]) -> None:
        stage, text = str(partial.get("stage", "")), prefix + describe(partial)
        if stage == SPEC:
            note(f"{prefix}spec: {partial.get('message', '')}")
        elif self._live:
            self._spin(text)
        elif (prefix, stage) not in self._told:
            note(text)
        self._told.add((prefix, stage))

    def _spin(self, text: str) -> None:
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True, highlight=False, markup=False).status(text)
            self._status.start()
        self._status.update(text)


def describe(partial: dict[str, Any]) -> str:
    """One line: "image: unpacking (40 %)"."""
    fraction = partial.get("fraction")
    share = f" ({fraction * 100:.0f} %)" if isinstance(fraction, int | float) else ""
    stage, message = partial.get("stage", ""), partial.get("message", "")
    return printable(f"{stage}: {message}{share}" if message else f"{stage}{share}")
