"""What StorageVerbs answers."""

from services.images.verbs.storage import StorageVerbs
from shared.bus.handlers import handled_verbs
from shared.contract.verbs import images


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(StorageVerbs)}
    assert handled == {images.IMAGE_PRUNE.name, images.USAGE.name}
