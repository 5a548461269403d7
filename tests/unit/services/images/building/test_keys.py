from pathlib import Path

import msgspec
import pytest

from services.images.building.context_files import BuildContext
from services.images.building.keys import image_key, step_keys
from shared.contract.messages.build import BuildStep
from shared.contract.messages.image import ImageConfig
from tests.fakes.images import IMAGE

RUN = BuildStep(kind="run", line=2, text="RUN x", argv=["x"])
COPY = BuildStep(kind="copy", line=3, text="COPY a /a", sources=["a"], destination="/a")


@pytest.fixture
def context(tmp_path: Path) -> BuildContext:
    (tmp_path / "a").write_text("content")
    return BuildContext(tmp_path)


def test_a_step_has_the_same_key_wherever_it_is_in_its_file(context: BuildContext) -> None:
    moved = msgspec.structs.replace(RUN, line=9, text="run  x")
    assert step_keys(IMAGE, [RUN], context) == step_keys(IMAGE, [moved], context)


def test_a_step_has_another_key_after_another_one(context: BuildContext) -> None:
    other = msgspec.structs.replace(RUN, argv=["y"])
    one, two = step_keys(IMAGE, [RUN, COPY], context), step_keys(IMAGE, [other, COPY], context)
    assert not set(one) & set(two)


def test_what_is_copied_counts(context: BuildContext, tmp_path: Path) -> None:
    before = step_keys(IMAGE, [RUN, COPY], context)
    (tmp_path / "a").write_text("Content")
    after = step_keys(IMAGE, [RUN, COPY], context)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_the_base_counts_by_its_whole_digest(context: BuildContext) -> None:
    one = msgspec.structs.replace(IMAGE, digest=f"sha256:{'1' * 64}")
    two = msgspec.structs.replace(IMAGE, digest=f"sha256:{'1' * 63}2")
    assert step_keys(one, [RUN], context) != step_keys(two, [RUN], context)


def test_an_image_is_its_steps_and_its_config(context: BuildContext) -> None:
    keys = step_keys(IMAGE, [RUN], context)
    config = ImageConfig(cmd=["x"])
    all_ = {
        image_key(IMAGE, keys, config, work_seed=False),
        image_key(IMAGE, keys, config, work_seed=True),
        image_key(IMAGE, keys, ImageConfig(cmd=["y"]), work_seed=False),
        image_key(IMAGE, [], config, work_seed=False),
    }
    assert len(all_) == 4
