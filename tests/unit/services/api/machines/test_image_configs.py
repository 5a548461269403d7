"""One question for each image, whatever is asked of it later."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.api.machines.image_configs import MOST_KEPT
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.fakes.images import IMAGE
from tests.fakes.scene import Scene, play

CONFIG = ImageConfig(cmd=["sh"])


def test_an_image_is_asked_for_once(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.images.images = [replace(IMAGE, config=CONFIG)]
            configs = scene.context.image_configs
            assert [await configs.of(IMAGE.id) for _ in range(2)] == [CONFIG, CONFIG]
            assert scene.bus.verbs() == ["images image.show"]

    play(act())


def test_what_a_creation_was_told_is_not_asked_again(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.context.image_configs.learn(IMAGE)
            assert await scene.context.image_configs.of(IMAGE.id) is None
            assert scene.bus.verbs() == []

    play(act())


def test_no_answer_is_an_error_or_nothing_and_asked_again(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            configs, problem = scene.context.image_configs, BangerError(Code.UNAVAILABLE, "away")
            scene.bus.troubles["images image.show"] += [problem, problem]
            with pytest.raises(BangerError):
                await configs.of(IMAGE.id)
            assert await configs.if_known(IMAGE.id) is None
            scene.images.images = [replace(IMAGE, config=CONFIG)]
            assert await configs.if_known(IMAGE.id) == CONFIG

    play(act())


def test_the_longest_unused_is_forgotten(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            others: list[Any] = [replace(IMAGE, id=f"{n:016}") for n in range(MOST_KEPT)]
            for image in (IMAGE, *others):
                scene.context.image_configs.learn(image)
            await scene.context.image_configs.of(IMAGE.id)
            assert scene.bus.verbs() == ["images image.show"]

    play(act())
