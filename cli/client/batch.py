"""One verb asked of several VMs at once: one listing, first-seen order, all good ones done.

Ctrl-C cancels what is in flight instead of only our waiting for it.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli.client.reference import Row, resolve
from cli.terminal.output import Settings, note, report
from cli.terminal.signals import Interrupted, interrupts_raise, interrupts_wait
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.bus.client import Outcome

CANCEL_SECONDS = 60.0


class Answer(NamedTuple):
    """The VM's row in the listing, and what was answered for it."""

    row: Row
    result: dict[str, Any]


Answers = dict[str, Answer | BangerError]
"""By reference, in first-seen order."""


class Cancelled(Interrupted):
    """A signal came: what was in flight has been cancelled, or had been done before."""

    def __init__(self, number: int, answers: Answers) -> None:
        super().__init__(number)
        self.answers = answers


def ask_each(refs: Sequence[str], verb: str, extra: dict[str, Any], timeout: float) -> Answers:
    """Resolve all references against one listing, and ask for all VMs at once.

    Raises:
        Cancelled: a signal came while we waited for the answers.
        Interrupted: a signal came before anything was asked for.
    """
    from cli.client.connection import connect

    with interrupts_raise(), connect() as client:
        listing = [view["vm"] for view in client.call("api", "vm.list")["vms"]]
        found = resolve(refs, listing)
        good = [row for row in found.values() if not isinstance(row, BangerError)]
        bodies = [{"ref": row["id"], **extra} for row in good]
        try:
            return _joined(found, client.call_many("api", verb, bodies, timeout=timeout))
        except Interrupted as interrupt:
            note(f"cancelling {verb}")
            with interrupts_wait():
                outcomes = client.cancel_all(timeout=CANCEL_SECONDS)
            raise Cancelled(interrupt.number, _joined(found, outcomes)) from None


def _joined(found: dict[str, Row | BangerError], outcomes: "Sequence[Outcome]") -> Answers:
    """``outcomes`` are those of the good references, in their order."""
    rest = iter(outcomes)
    return {
        ref: row if isinstance(row, BangerError) else _answer(row, next(rest))
        for ref, row in found.items()
    }


def _answer(row: Row, outcome: "Outcome") -> Answer | BangerError:
    return outcome if isinstance(outcome, BangerError) else Answer(row, outcome)


def good_ones(answers: Answers, settings: Settings) -> tuple[list[Answer], int]:
    """The answers in order, and the exit status; what failed is reported here."""
    failed = [answer for answer in answers.values() if isinstance(answer, BangerError)]
    statuses = [report(error, settings) for error in failed]
    good = [answer for answer in answers.values() if not isinstance(answer, BangerError)]
    return good, next(iter(statuses), 0)


def act_on(
    refs: Sequence[str],
    verb: str,
    extra: dict[str, Any],
    timeout: float,
    settings: Settings,
    output: str,
    *,
    quiet: bool,
) -> int:
    """Do ``verb`` to each VM and print those it was done to.

    Returns the exit status: 0, that of the first failure, or 128+N when signal N came.
    """
    interrupted = 0
    try:
        answers = ask_each(refs, verb, extra, timeout)
    except Cancelled as cancelled:
        answers, interrupted = cancelled.answers, cancelled.exit_status
    status = tell(answers, settings, output, quiet=quiet)
    return interrupted or status


def tell(answers: Answers, settings: Settings, output: str, *, quiet: bool) -> int:
    """Print what it was done to, and report what failed; the exit status of the first of those."""
    good, status = good_ones(answers, settings)
    if output == "json":
        entries = [_entry(ref, answer) for ref, answer in answers.items()]
        click.echo(json.dumps(entries, indent=2))
    else:
        for answer in good:
            click.echo(answer.row["id" if quiet else "name"])
    return status


def _entry(ref: str, answer: Answer | BangerError) -> dict[str, Any]:
    if isinstance(answer, BangerError):
        return {"ref": ref, "ok": False, "error": answer.to_wire()}
    return {"ref": ref, "ok": True, "id": answer.row["id"], "name": answer.row["name"]}
