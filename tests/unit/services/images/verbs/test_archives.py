"""What ArchiveVerbs answers."""

from services.images.verbs.archives import ArchiveVerbs
from shared.bus.handlers import handled_verbs
from shared.contract.verbs import images


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(ArchiveVerbs)}
    assert handled == {
        images.IMAGE_IMPORT.name,
        images.IMAGE_EXPORT.name,
        images.IMAGE_REGISTER.name,
        images.IMAGE_PROMOTE.name,
        images.IMAGE_TAG.name,
        images.KERNEL_IMPORT.name,
    }
