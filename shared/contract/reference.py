"""What a user's reference means: an exact name or id, else a unique prefix of either. Pure.

Names and ids share one space. ``check_name`` refuses new names of the form of an id, but a database
of an earlier version may hold one that equals the id of another VM: the name wins then. Programs
that have an id write it as ``by_id`` does, which no name can equal.
"""

from collections.abc import Iterable
from typing import Protocol

from shared.contract.names import NAMES_CARRIED, few
from shared.errors import BangerError, Code


class Named(Protocol):
    """Something with an id and a name: a VM, an image, a kernel."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


_LISTED_BY = {"VM": "vm", "image": "image", "kernel": "kernel", "operation": "ops"}
"""What is referred to -> the group of commands that has its ``list``."""


BY_ID = "id="
"""Begins a reference that means an id and nothing else. No name has a "="."""


def by_id(id_: str) -> str:
    """The reference that means only what has this id."""
    return BY_ID + id_


def find_id(noun: str, reference: str, names: Iterable[tuple[str, str]]) -> str:
    """The id that ``reference`` means among ``names``: pairs of an id and a name.

    An exact name comes first, then an exact id, then what begins so. ``id=ID`` means an exact id
    only. An id may have several names, or "" for none. ``noun`` is what errors call it: "VM",
    "image", "kernel" or "operation".

    Raises:
        BangerError: ``invalid`` when the reference is empty; ``not_found``; ``ambiguous``, with the
            names of what it matches in ``details``.
    """
    if not reference:
        raise BangerError(Code.INVALID, f"the reference to the {noun} is empty", hint=_hint(noun))
    pairs = list(names)
    exact = [known for known, name in pairs if name == reference]
    exact += [known for known, _ in pairs if reference in (known, by_id(known))]
    if exact:
        return exact[0]
    matches: dict[str, str] = {}
    for known, name in pairs:
        if known.startswith(reference) or name.startswith(reference):
            matches.setdefault(known, name or known)
    if not matches:
        raise BangerError(Code.NOT_FOUND, f"there is no {noun} {reference!r}", hint=_hint(noun))
    if len(matches) > 1:
        raise _ambiguous(reference, matches)
    return next(iter(matches))


def require_whole(noun: str, reference: str, id_: str, *names: str) -> None:
    """For what cannot be undone: the beginning of a name is not enough to mean its owner, that of
    an id is. ``id_`` and ``names`` are those of what ``find_id`` has found. Else the second of two
    deletions of "web" would delete its copy "web-1".

    Raises:
        BangerError: ``not_found``.
    """
    if reference in names or id_.startswith(reference.removeprefix(BY_ID)):
        return
    raise BangerError(
        Code.NOT_FOUND,
        f"there is no {noun} {reference!r}",
        hint=f"write the whole name if you mean {' or '.join(names)}",
    )


def _hint(noun: str) -> str:
    return f"list them: banger {_LISTED_BY[noun]} list"


def _ambiguous(reference: str, matches: dict[str, str]) -> BangerError:
    """``matches``: name by id. The id is shown where it, and not the name, is what matches."""
    by_name = sorted((name, known) for known, name in matches.items())
    shown = [name if name.startswith(reference) else f"{name} ({known})" for name, known in by_name]
    return BangerError(
        Code.AMBIGUOUS,
        f"{reference!r} is ambiguous: it matches {few(shown)}",
        hint="use more characters of the name or of the id",
        details={"candidates": [name for name, _ in by_name[:NAMES_CARRIED]]},
    )
