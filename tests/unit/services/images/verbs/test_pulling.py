"""What PullVerbs answers."""

from services.images.verbs.pulling import PullVerbs
from shared.bus.handlers import handled_verbs
from shared.contract.verbs import images


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(PullVerbs)}
    assert handled == {images.IMAGE_PULL.name}
