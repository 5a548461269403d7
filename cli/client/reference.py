"""What a reference on the command line means, when several are resolved against one listing."""

from collections.abc import Iterable, Sequence
from typing import Any

from shared.errors import BangerError, Code

Row = dict[str, Any]


def resolve(refs: Iterable[str], listing: Sequence[Row]) -> dict[str, Row | BangerError]:
    """Reference → row or error, in first-seen order; a VM that is named twice appears once."""
    found: dict[str, Row | BangerError] = {}
    seen: set[str] = set()
    for ref in refs:
        try:
            row = find(ref, listing)
        except BangerError as error:
            found.setdefault(ref, error)
            continue
        if row["id"] not in seen:
            seen.add(row["id"])
            found[ref] = row
    return found


def find(ref: str, listing: Sequence[Row]) -> Row:
    """The exact id or name, else the one row that ``ref`` is a prefix of.

    Raises:
        BangerError: ``invalid`` when it is empty; ``not_found``; ``ambiguous`` with the candidates.
    """
    if not ref:
        raise BangerError(Code.INVALID, "an empty reference to a VM")
    exact = [row for row in listing if ref in (row["id"], row["name"])]
    if exact:
        return exact[0]
    begun = [row for row in listing if _begins(row, ref)]
    if not begun:
        raise BangerError(
            Code.NOT_FOUND, f"there is no VM {ref!r}", hint="banger vm list shows those there are"
        )
    if len(begun) > 1:
        names = sorted(row["name"] for row in begun)
        raise BangerError(
            Code.AMBIGUOUS,
            f"{ref!r} may be any of: {', '.join(names)}",
            hint="write more of the name, or the id",
            details={"candidates": names},
        )
    return begun[0]


def _begins(row: Row, ref: str) -> bool:
    return str(row["id"]).startswith(ref) or str(row["name"]).startswith(ref)
