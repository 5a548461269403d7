"""A long request: its progress goes to stderr, and Ctrl-C cancels it on the service."""

from typing import TYPE_CHECKING, Generic, TypeVar

from cli.terminal.interrupted import Interrupted
from cli.terminal.output import note
from cli.terminal.signals import interrupts_raise, interrupts_wait
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.bus.client import Client
    from shared.contract.verb import Request

Result = TypeVar("Result")


class LongRequest(Generic[Result]):
    """``result`` is None until there is one; a signal may come too late to prevent it."""

    def __init__(self, request: "Request[Result]") -> None:
        self.result: Result | None = None
        self._request = request

    def complete(self, client: "Client") -> Result:
        """Ask and wait, with progress. Call it inside ``interrupts_raise``.

        Raises:
            BangerError: what the service answered.
            Interrupted: a signal came. The operation was cancelled, unless there is a ``result``.
        """
        from cli.terminal.progress import Progress

        try:
            with Progress() as progress:
                self.result = client.ask(self._request, on_partial=progress)
                return self.result
        except Interrupted:
            if self.result is None:
                with interrupts_wait():
                    self.result = self._cancel(client)
            raise

    def _cancel(self, client: "Client") -> Result | None:
        """The result when it was there before the cancel, else None."""
        note(f"Cancelling {self._request.verb.name.replace('.', ' ')}.")
        try:
            return client.cancel(self._request)
        except BangerError as error:
            if error.code is not Code.CANCELLED:
                note(f"warning: {error.message}")
            return None


def run_operation(request: "Request[Result]") -> Result:
    """Complete ``request`` over a connection of its own."""
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        return LongRequest(request).complete(client)
