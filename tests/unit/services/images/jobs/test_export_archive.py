"""An image goes out and comes back."""

from pathlib import Path

from services.images.jobs import export_archive, import_archive
from services.images.jobs.requests import ExportJob, ImportJob
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.contract.messages.image import ImageConfig
from shared.workers.job import JobContext
from tests.unit.services.images.library.shelf import add


def test_an_image_with_its_base_is_the_same_on_another_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    base = add(here, b"base" * 1000, "base")
    top = add(here, b"top", "web:1", base=base, config=ImageConfig(cmd=["x"], env={"A": "1"}))
    said: list[str] = []
    context = JobContext(tmp_path, lambda _, message: said.append(message))
    file = str(tmp_path / "x.tar.zst")
    written = export_archive.run(ExportJob(images=str(here), id=top.id, output=file), context)
    assert written.size == Path(file).stat().st_size
    assert said[-1] == "0 of 1 MiB"
    made = import_archive.run(ImportJob(images=str(there), file=file), context)
    assert made.image == top
    library = Library(there, ImageManifest, "image")
    assert library.entries() == ([base, top], []) or library.entries() == ([top, base], [])
    assert library.names() == {"base": base.id, "web:1": top.id}
