"""The keys of a build's steps: SHA-256 of a step, of all before it, and of what they copy.

Two builds whose keys are equal do the same to the same image. What a command fetches from the
outside is not in its key: ``--force`` runs it again.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from services.images.building.context_files import BuildContext, digest_of
from shared.contract.messages.build import BuildStep
from shared.contract.messages.image import Image, ImageConfig

_EDITION = "banger-build-1"
"""Another one where steps come to mean something else."""


def step_keys(base: Image, steps: Sequence[BuildStep], context: BuildContext) -> list[str]:
    """One per step, in order. Raises as ``BuildContext.copied``."""
    keys: list[str] = []
    key = _sum(_EDITION, base.digest or base.id)
    for step in steps:
        copied = ""
        if step.kind == "copy":
            files = context.copied(step.sources, step.destination).files
            copied = digest_of(files)
        # Where a step is in its file, and how it is written there, changes nothing.
        meant = msgspec.structs.replace(step, line=0, text="")
        key = _sum(key, _json(meant), copied)
        keys.append(key)
    return keys


def image_key(base: Image, keys: Sequence[str], config: ImageConfig, *, work_seed: bool) -> str:
    """Of the image that the steps give."""
    last = keys[-1] if keys else _sum(_EDITION, base.digest or base.id)
    return _sum("image", last, _json(config), str(work_seed))


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _sum(*parts: str) -> str:
    total = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="surrogateescape")
        total.update(b"%d:" % len(content) + content)
    return total.hexdigest()
