"""What is said when a request that is mostly answered at once takes a while."""

from typing import Any

from cli.terminal.output import note


class FirstWords:
    """Called with each partial; tells a person of the first, on stderr."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, partial: dict[str, Any]) -> None:
        from cli.terminal.progress import describe

        if not self._said:
            note(describe(partial))
        self._said = True
