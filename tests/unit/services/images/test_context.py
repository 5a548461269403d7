"""The libraries and catalogues that all verbs of images work with."""

from pathlib import Path

from services.images.context import ImagesContext
from shared.config import Config
from shared.logs import Log
from shared.paths import Paths


def test_the_libraries_are_where_the_paths_say(tmp_path: Path) -> None:
    paths = Paths(*[tmp_path] * 4)
    context = ImagesContext(paths, Log(tmp_path / "log", "images"), Config())
    assert context.images.library.root == paths.images
    assert context.kernels.library.root == paths.kernels
    assert "debian-bookworm" in {each.name for each in context.image_catalogue.available()}
