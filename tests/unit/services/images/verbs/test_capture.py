"""What CaptureVerbs answers."""

from services.images.verbs.capture import CaptureVerbs
from shared.bus.handlers import handled_verbs
from shared.contract.verbs import images


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(CaptureVerbs)}
    assert handled == {images.IMAGE_CAPTURE.name}
