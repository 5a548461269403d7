"""What ImageBuildVerbs answers."""

from services.api.verbs.image_build import ImageBuildVerbs
from shared.bus.handlers import handled_verbs
from shared.contract.verbs import api


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(ImageBuildVerbs)}
    assert handled == {api.IMAGE_BUILD.name, api.VM_COMMIT.name}
