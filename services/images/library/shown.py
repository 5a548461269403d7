"""What the verbs about images answer, read from the disk. Each of these blocks for a moment."""

from collections import defaultdict

from services.images.library.library import Damaged, Library
from services.images.library.manifest import ImageManifest
from services.images.library.stack import layers, refuse_base, stack_of
from services.images.library.views import image_view
from shared.contract.messages.image import Image
from shared.contract.reference import by_id

Images = Library[ImageManifest]


def all_images(library: Images) -> tuple[list[Image], list[Damaged]]:
    """The images that can be read, oldest first, and what cannot."""
    entries, damaged = library.entries()
    names = _names(library)
    views = [image_view(each, library.path_of(each), names[each.id]) for each in entries]
    return views, damaged


def find_image(library: Images, reference: str) -> Image:
    """The image meant by ``reference``. Raises as ``Library.find``."""
    return view_of(library, library.find(reference))


def view_of(library: Images, entry: ImageManifest) -> Image:
    """One image as it goes over the bus."""
    return image_view(entry, library.path_of(entry), _names(library)[entry.id])


def image_with_layers(library: Images, reference: str) -> Image:
    """As ``find_image``, with the images below it.

    Raises:
        BangerError: as ``find_image`` and ``stack_of``.
    """
    entry = library.find(reference)
    shown = view_of(library, entry)
    shown.layers = layers(library, stack_of(library, entry))
    return shown


def remove_image(library: Images, reference: str) -> None:
    """Remove an image that no other lies on.

    Raises:
        BangerError: as ``Library.remove`` and ``refuse_base``.
    """
    identifier = library.identify(reference)
    refuse_base(library.entries()[0], identifier)
    library.remove(by_id(identifier))


def _names(library: Images) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, identifier in library.names().items():
        found[identifier].append(name)
    return found
