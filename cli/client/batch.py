"""One request for each of several VMs, all at once. A failure of one does not stop the others.

Ctrl-C cancels the requests on the services, not only the wait for them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, echo, note, print_json, report
from cli.terminal.signals import interrupts_raise, interrupts_wait
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.bus.client import Client
    from shared.contract.messages.vm import VmView
    from shared.contract.reference import Named
    from shared.contract.verb import Request

Result = TypeVar("Result")


class CancelledBatch(Interrupted):
    """A signal came. Each request was cancelled, or had been done before."""

    def __init__(self, number: int, outcomes: dict[str, Any]) -> None:
        super().__init__(number)
        self.outcomes = outcomes


def ask_each(
    refs: Sequence[str],
    request_for: "Callable[[str], Request[Result]]",
    *,
    progress: bool = False,
    whole_names: bool = False,
) -> "dict[str, Result | BangerError]":
    """Ask for all VMs at once; the outcomes by reference, in first-seen order.

    ``request_for`` makes the request for one VM. A VM that several references mean is asked once.
    ``progress``: show it on stderr. ``whole_names``: as the request has it, which cannot be undone.

    Raises:
        CancelledBatch: a signal came while the answers were awaited.
        Interrupted: a signal came before the VMs were known.
    """
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        if len(set(refs)) == 1:
            return _ask(client, {refs[0]: request_for(refs[0])}, progress=progress)
        requests: dict[str, Request[Result] | BangerError] = {}
        resolve = api.VM_RESOLVE(refs=list(refs), whole_names=whole_names)
        for found in client.ask(resolve).resolved:
            requests[found.ref] = (
                BangerError.from_wire(found.error) if found.error else request_for(by_id(found.id))
            )
        return _ask(client, requests, progress=progress)


def ask_exactly(
    refs: Iterable[str], request_for: "Callable[[str], Request[Result]]"
) -> "dict[str, Result | BangerError]":
    """As ``ask_each``, for references of which no two mean the same, such as ids."""
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        return _ask(client, {ref: request_for(ref) for ref in refs})


def _ask(
    client: "Client",
    requests: "Mapping[str, Request[Result] | BangerError]",
    *,
    progress: bool = False,
) -> "dict[str, Result | BangerError]":
    sent = [each for each in requests.values() if not isinstance(each, BangerError)]
    try:
        answers = _ask_with_progress(client, requests) if progress else client.ask_all(sent)
    except Interrupted as interrupt:
        note(f"Cancelling {sent[0].verb.name.replace('.', ' ')}.")
        with interrupts_wait():
            answers = client.cancel_all(sent)
        raise CancelledBatch(interrupt.number, _joined(requests, answers)) from None
    return _joined(requests, answers)


def _ask_with_progress(
    client: "Client", requests: "Mapping[str, Request[Result] | BangerError]"
) -> "list[Result | BangerError]":
    """The progress of each under its reference, unless it is the only one."""
    from cli.terminal.progress import Progress

    sent = {ref: each for ref, each in requests.items() if not isinstance(each, BangerError)}
    with Progress() as shown:
        heard = [shown.of(ref) if len(sent) > 1 else shown for ref in sent]
        return client.ask_all(list(sent.values()), on_partials=heard)


def _joined(
    requests: "Mapping[str, Request[Result] | BangerError]",
    answers: "Iterable[Result | BangerError]",
) -> "dict[str, Result | BangerError]":
    rest = iter(answers)
    return {
        ref: each if isinstance(each, BangerError) else next(rest) for ref, each in requests.items()
    }


def report_failures(
    outcomes: "Mapping[str, Result | BangerError]", settings: Settings
) -> tuple[list[Result], int]:
    """Report what failed; returns the results, and the exit status of the first failure or 0."""
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, BangerError)]
    statuses = [report(error, settings) for error in errors]
    results = [outcome for outcome in outcomes.values() if not isinstance(outcome, BangerError)]
    return results, next(iter(statuses), 0)


def act_on(
    refs: Sequence[str],
    request_for: "Callable[[str], Request[VmView]]",
    settings: Settings,
    output: str,
    *,
    quiet: bool,
    progress: bool = False,
    whole_names: bool = False,
) -> int:
    """Ask for each VM and print those for which it was done. ``progress`` and ``whole_names`` as
    of ``ask_each``.

    Returns the exit status: 0, that of the first failure, or 128+N when signal N came.
    """
    outcomes, interrupted = as_far_as_done(
        lambda: ask_each(refs, request_for, progress=progress, whole_names=whole_names)
    )
    say_notices(outcomes.values())
    status = print_outcomes(vms_of(outcomes), settings, output, quiet=quiet)
    return interrupted or status


def say_notices(outcomes: "Iterable[VmView | BangerError]") -> None:
    """What the services say to people about VMs, on stderr."""
    for outcome in outcomes:
        for sentence in [] if isinstance(outcome, BangerError) else outcome.notices:
            note(sentence)


def as_far_as_done(
    ask: "Callable[[], dict[str, Result | BangerError]]",
) -> "tuple[dict[str, Result | BangerError], int]":
    """The outcomes of ``ask``, and 128+N when signal N cancelled some of it, else 0."""
    try:
        return ask(), 0
    except CancelledBatch as cancelled:
        return cancelled.outcomes, cancelled.exit_status


def vms_of(outcomes: "Mapping[str, VmView | BangerError]") -> "dict[str, Named | BangerError]":
    """The rows of the views among ``outcomes``, for ``print_outcomes``."""
    return {
        ref: outcome if isinstance(outcome, BangerError) else outcome.vm
        for ref, outcome in outcomes.items()
    }


def print_outcomes(
    outcomes: "Mapping[str, Named | BangerError]", settings: Settings, output: str, *, quiet: bool
) -> int:
    """Print what was done, report what failed, and return the exit status of the first failure."""
    done, status = report_failures(outcomes, settings)
    if output == "json":
        print_json([_entry(ref, each) for ref, each in outcomes.items()])
    else:
        for each in done:
            echo(each.id if quiet else each.name)
    return status


def _entry(ref: str, outcome: "Named | BangerError") -> dict[str, Any]:
    if isinstance(outcome, BangerError):
        return {"ref": ref, "ok": False, "error": outcome.to_wire()}
    return {"ref": ref, "ok": True, "id": outcome.id, "name": outcome.name}
