"""What a source of images or kernels is. docs/images.md says what an image has to contain.

A source is a folder beside this module and one line in registry.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from services.images.library.manifest import M
from services.images.library.on_demand import Maker
from shared.errors import BangerError, Code


@dataclass(frozen=True)
class Recipe(Generic[M]):
    """How one image or kernel is made, and under which name it is published."""

    name: str
    made_from: str
    """What the manifest has as its ``source``; another edition of the same name has another."""
    description: str
    """One line for the list of what is available."""
    make: Maker[M]
    """Leaves the files in the directory it is given and returns the manifest that describes them.
    Cancelled or failed, it returns only when every process it has started has ended. Raises
    BangerError."""
    extend: "Callable[[str, Sequence[str]], Recipe[M]] | None" = None
    """(name, packages) -> the same with further packages, published under ``name``. None where the
    source has no packages to add. Raises ``invalid``."""
    named_by_user: bool = False
    """Whether a user chose the name. The source's own names mean the newest edition; a user's name
    means what it was first made from."""

    def is_newer_than(self, made_from: str) -> bool:
        """Whether what was made from ``made_from`` is an older edition of this."""
        return not self.named_by_user and made_from != self.made_from

    def check_result(self, noun: str, made_from: str) -> None:
        """Raise ``conflict`` when what was found under a user's name was made from something else:
        before this request, or by one that came first and was joined."""
        if self.named_by_user and made_from != self.made_from:
            raise BangerError(
                Code.CONFLICT,
                f"the {noun} {self.name} was made from {made_from}, not from {self.made_from}",
                hint="choose another --name, or rebuild it with --force",
            )


class Source(Protocol[M]):
    """Where images, or kernels, come from. Neither method waits for anything."""

    def offers(self) -> Sequence[Recipe[M]]:
        """What to list as available; ``recipe`` may know more."""

    def recipe(self, name: str) -> Recipe[M] | None:
        """How to make what is called exactly ``name``; None when that is not this source's."""
