"""A long verb: progress on stderr while it runs, and Ctrl-C cancels it, not only our waiting."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cli.terminal.output import note
from cli.terminal.signals import Interrupted, interrupts_raise, interrupts_wait
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.bus.client import Client

CANCEL_SECONDS = 60.0


class Finished(Interrupted):
    """The signal came too late: ``result`` is what the verb had done already."""

    def __init__(self, number: int, result: dict[str, Any]) -> None:
        super().__init__(number)
        self.result = result


def operate(
    client: "Client",
    service: str,
    verb: str,
    body: dict[str, Any],
    timeout: float,
    done: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Ask and wait with progress; call it inside ``interrupts_raise``.

    ``done`` is given the result: a signal comes either before it, and the verb is cancelled, or
    after it. On the way back to the caller a result can get lost.

    Raises:
        BangerError: what the service answered.
        Interrupted: a signal came, and the operation was cancelled.
        Finished: a signal came, but it was done before the cancel.
    """
    from cli.terminal.progress import Progress
    from shared.bus.envelope import new_request_id

    request_id = new_request_id()
    try:
        with Progress() as progress:
            result = client.call(
                service, verb, body, timeout=timeout, on_partial=progress, request_id=request_id
            )
            done(result)
            return result
    except Interrupted as interrupt:
        with interrupts_wait():
            late = _cancel(client, service, verb, request_id)
        if late is not None:
            raise Finished(interrupt.number, late) from None
        raise


def _cancel(client: "Client", service: str, verb: str, request_id: bytes) -> dict[str, Any] | None:
    note(f"cancelling {verb}")
    try:
        return client.cancel(service, verb, request_id, timeout=CANCEL_SECONDS)
    except BangerError as error:
        if error.code is not Code.CANCELLED:
            note(f"warning: {error.message}")
        return None


def run_operation(service: str, verb: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
    """``operate`` over a connection of its own."""
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        return operate(client, service, verb, body, timeout)
