"""What StorageVerbs answers."""

import asyncio
from pathlib import Path
from typing import cast

from services.images.context import ImagesContext
from services.images.verbs.storage import StorageVerbs
from shared.bus.handlers import Call, handled_verbs
from shared.config import Config
from shared.contract.messages.image_work import (
    Pruned,
    PruneUnused,
    StorageUsage,
    UsageQuestion,
)
from shared.contract.verbs import images
from shared.logs import Log
from shared.paths import Paths
from tests.unit.services.images.library.shelf import add


def test_it_answers_its_verbs() -> None:
    handled = {verb.name for _, verb in handled_verbs(StorageVerbs)}
    assert handled == {images.IMAGE_PRUNE.name, images.USAGE.name}


def test_what_is_stored_is_told_and_pruned(tmp_path: Path) -> None:
    paths = Paths(*[tmp_path] * 4)
    verbs = StorageVerbs(ImagesContext(paths, Log(tmp_path / "log", "images"), Config()))
    add(paths.images, b"old", "web")
    add(paths.images, b"new", "web")
    blob = paths.blobs / "sha256" / ("0" * 64)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x" * 10_000)
    (paths.builds / ("1" * 64)).mkdir(parents=True)
    (paths.builds / ("1" * 64) / "image").write_text("0" * 16)

    async def asked(request: PruneUnused) -> Pruned:
        return await verbs.prune(request, cast(Call, None))

    async def used() -> StorageUsage:
        return await verbs.usage(UsageQuestion(), cast(Call, None))

    usage = asyncio.run(used())
    assert {each.kind: each.count for each in usage.used} == {
        "images": 2,
        "kernels": 0,
        "downloads": 1,
        "builds": 1,
    }
    assert usage.free_bytes > 0
    reclaimable = sum(each.reclaimable for each in usage.used)

    for dry_run in (True, False):
        gone = asyncio.run(asked(PruneUnused(dry_run=dry_run)))
        assert {item.kind for item in gone.pruned} == {"image", "download", "build"}
        assert gone.real_bytes == reclaimable
    assert asyncio.run(asked(PruneUnused())).pruned == []
