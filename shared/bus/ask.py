"""How the parts of a service ask other services: ``Actor.ask``, or a fake in its place."""

from typing import Protocol

from shared.bus.link import Progress
from shared.contract.verb import Request, Result


class Ask(Protocol):
    """See ``Actor.ask``."""

    async def __call__(
        self,
        request: Request[Result],
        *,
        deadline: float | None = None,
        on_partial: Progress | None = None,
        settle: bool = False,
    ) -> Result: ...
