"""A recipe of the catalogue with further packages, under a name of its own. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from services.images.sources.debian.catalogue import DebianImage, is_package
from shared.errors import BangerError, Code


def extended(base: DebianImage, name: str, include: Iterable[str]) -> DebianImage:
    """``base`` with the packages ``include``. Their order and repeats do not matter.

    Raises:
        BangerError: ``invalid`` for what is not a package name, and without a ``name``.
    """
    further = sorted({_package(word) for word in include} - set(base.packages))
    if not name:
        raise BangerError(
            Code.INVALID,
            "an image with additional packages needs a name of its own",
            hint=f"banger image build {base.name} --name NAME --include {','.join(further)}",
        )
    return replace(
        base,
        name=name,
        packages=(*base.packages, *further),
        included=tuple(further),
        description=f"{base.name} with {', '.join(further) or 'no additional packages'}",
    )


def _package(word: str) -> str:
    if not is_package(word):
        raise BangerError(
            Code.INVALID,
            f"{word!r} is not a valid name of a Debian package",
            hint="names have a-z, 0-9, +, - and ., as apt list prints them",
        )
    return word
