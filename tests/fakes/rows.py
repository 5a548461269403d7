"""What a reference means among structs that have an id and a name."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from shared.contract.reference import find_id


class Named(Protocol):
    id: str
    name: str


N = TypeVar("N", bound=Named)


def find(noun: str, reference: str, rows: Iterable[N]) -> N:
    """Raises as ``find_id``."""
    listing = {row.id: row for row in rows}
    return listing[find_id(noun, reference, ((row.id, row.name) for row in listing.values()))]
