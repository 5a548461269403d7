"""What of an image's config is refused, whoever wrote it."""

import pytest

from services.images.library.config_limits import LARGEST, checked
from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code


def test_what_others_have_is_taken() -> None:
    config = ImageConfig(entrypoint=["/e"], env={"PATH": "/bin"}, labels={"a": "b\0"})
    assert checked(config) is config


@pytest.mark.parametrize(
    "config",
    [
        ImageConfig(cmd=["a\0b"]),
        ImageConfig(entrypoint=["\0"]),
        ImageConfig(env={"A\0": ""}),
        ImageConfig(env={"A": "\0"}),
        ImageConfig(workdir="/\0"),
        ImageConfig(user="\0"),
        ImageConfig(labels={"a": "x" * (LARGEST // 2), "b": "x" * (LARGEST // 2)}),
        ImageConfig(volumes=["x" * 1000] * (LARGEST // 1000)),
    ],
)
def test_a_nul_and_a_flood_are_refused(config: ImageConfig) -> None:
    with pytest.raises(BangerError) as refused:
        checked(config)
    assert refused.value.code is Code.INVALID
