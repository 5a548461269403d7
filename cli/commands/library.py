"""What ``banger image list`` and ``banger kernel list`` have in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.terminal.output import Columns, ListEntry, note, show_many
from shared.bus.record import fields_of

if TYPE_CHECKING:
    from shared.contract.messages.image import Available, Broken

OFFER: "Columns[Available]" = {
    "NAME": lambda offer: offer.name,
    "DESCRIPTION": lambda offer: offer.description,
}


def show_offers(available: "Sequence[Available]", output: str, *, quiet: bool) -> None:
    """Print what the catalogue offers; an offer has no id but its name."""
    offers = [
        ListEntry(offer.name, offer.name, {"id": offer.name, **fields_of(offer)}, offer)
        for offer in available
    ]
    show_many(offers, OFFER, output, quiet=quiet)


def warn_broken(directories: "Sequence[Broken]") -> None:
    """Name each directory that cannot be read; the others are listed all the same."""
    for broken in directories:
        note(f"warning: {broken.path}: {broken.problem}")
