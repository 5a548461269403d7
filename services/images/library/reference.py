"""What a user's reference to an image or a kernel means. Pure."""

from collections.abc import Iterable, Mapping

from shared.errors import BangerError, Code


def find(noun: str, reference: str, identifiers: Iterable[str], names: Mapping[str, str]) -> str:
    """The id meant by ``reference``: an exact id or name first, then a unique prefix of either.

    ``names`` maps names to ids. A prefix that fits both the id and the name of one entry, or two
    names of it, is not ambiguous.

    Raises:
        BangerError: ``not_found``, or ``ambiguous`` with the candidates in ``details``.
    """
    known = sorted(set(identifiers))
    if reference in known:
        return reference
    if reference in names:
        return names[reference]
    matches = {found: found for found in known if reference and found.startswith(reference)}
    matches |= {found: name for name, found in names.items() if name.startswith(reference)}
    if not reference or not matches:
        raise BangerError(
            Code.NOT_FOUND,
            f"there is no {noun} {reference!r}",
            hint=f"see what there is: banger {noun} list",
        )
    if len(matches) > 1:
        raise _ambiguous(noun, reference, sorted(matches.values()))
    return next(iter(matches))


def _ambiguous(noun: str, reference: str, candidates: list[str]) -> BangerError:
    return BangerError(
        Code.AMBIGUOUS,
        f"{noun} {reference!r} could be {', '.join(candidates)}",
        hint="give more of it",
        details={"candidates": candidates},
    )
