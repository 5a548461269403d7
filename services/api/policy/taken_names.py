"""When an image that is made in a VM may take over a name. Pure."""

from shared.contract.messages.image import Image, OriginKind
from shared.errors import BangerError, Code


def refuse_taken(name: str, found: Image | None, kind: OriginKind, *, force: bool = False) -> None:
    """Check that ``name`` may become that of a new image of ``kind``; ``found``: what the reference
    ``name`` means now.

    A build takes its name over from an earlier build, as a changed file is built again and again.
    Anything else keeps its name.

    Raises:
        BangerError: ``conflict``.
    """
    if found is None or name not in (found.name, *found.names):
        return
    was_built = found.origin is not None and found.origin.kind == kind == "built"
    if was_built or force:
        return
    raise BangerError(
        Code.CONFLICT,
        f"there is an image {name} already ({found.id}), made from {found.source}",
        hint=f"choose another name, or delete it: banger image delete {name}",
    )
