"""How large an image's config may be, and what cannot be in it. Pure.

The decoder bounds each list and text (``ImageConfig``). Together they have to fit into an answer of
the images service and, as words and variables, into a command of a guest.
"""

from collections.abc import Iterator

import msgspec

from shared.contract.messages.image import ImageConfig
from shared.errors import BangerError, Code

LARGEST = 1 << 18
"""Bytes as JSON. What is run of it has less room: ``shared.contract.guest_command.LONGEST``."""


def checked(config: ImageConfig) -> ImageConfig:
    """Return ``config``.

    Raises:
        BangerError: ``invalid`` when it is too large, or has a text that no program can be given
            (execve(2) ends words and variables at a NUL).
    """
    size = len(msgspec.json.encode(config))
    if size > LARGEST:
        raise BangerError(
            Code.INVALID,
            f"the image's config has {size >> 10} KiB, but at most {LARGEST >> 10} KiB are taken",
        )
    if any("\0" in text for text in _texts(config)):
        raise BangerError(Code.INVALID, "the image's config has a NUL in a word or a variable")
    return config


def _texts(config: ImageConfig) -> Iterator[str]:
    yield from (*config.entrypoint, *config.cmd, config.workdir, config.user)
    for name, value in config.env.items():
        yield name
        yield value
