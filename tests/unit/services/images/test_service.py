"""What the images service does when the catalogue has another edition of what is there."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from services.images.library.manifest import KernelManifest, id_of_files, sum_file
from services.images.library.scratch import Scratch
from services.images.library.single_flight import ReportProgress
from services.images.service import ImagesService
from services.images.sources.contract import Recipe
from services.images.sources.registry import Catalogue
from shared.bus.handlers import Call
from shared.config import Config
from shared.contract.messages.image import KernelPull, Resolve
from shared.logs import Log
from shared.paths import Paths

CALL = cast(Call, SimpleNamespace(progress=lambda *_: None))


class Editions:
    """A source of one kernel. ``made``: the editions that were made of it."""

    def __init__(self) -> None:
        self.edition = "first"
        self.made: list[str] = []

    def offers(self) -> Sequence[Recipe[KernelManifest]]:
        return [self.recipe("one")]

    def recipe(self, name: str) -> Recipe[KernelManifest]:
        return Recipe(name=name, made_from=self.edition, description="", make=self._make)

    async def _make(self, work: Scratch, _: ReportProgress) -> KernelManifest:
        self.made.append(self.edition)
        (work.path / "vmlinux").write_text(self.edition)
        files = {"vmlinux": sum_file(work.path / "vmlinux")}
        return KernelManifest(
            id=id_of_files(files),
            name="one",
            version="6.1",
            arch="x86_64",
            created="2026-11-29T10:00:00+00:00",
            source=self.edition,
            files=files,
        )


def test_kernel_is_pulled_anew_only_when_its_recipe_has_another_revision(tmp_path: Path) -> None:
    source = Editions()

    async def play() -> None:
        paths = Paths(*[tmp_path] * 4)
        service = ImagesService(paths, Log(tmp_path / "log", "images"), Config())
        service._kernel_catalogue = Catalogue("kernel", [source])

        async def pulled() -> str:
            return (await service.kernel_pull(KernelPull(name="one"), CALL)).source

        async def resolved() -> str:
            return (await service.kernel_resolve(Resolve(ref="one", fetch=True), CALL)).source

        assert [await pulled(), await pulled(), await resolved()] == ["first"] * 3
        source.edition = "second"
        assert await resolved() == "first"  # whoever wants a machine does not wait for it
        assert [await pulled(), await resolved()] == ["second"] * 2
        service.link.close()

    asyncio.run(play())
    assert source.made == ["first", "second"]
