"""What an import does with names and pipes. Hostile archives: archive/test_reading.py."""

import os
import threading
from pathlib import Path

import pytest

from services.images.archive.writing import write_archive
from services.images.jobs.import_archive import run
from services.images.jobs.requests import ImportJob
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.unit.services.images.library.shelf import add


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An image ``web`` on an image ``base``."""
    there = tmp_path / "there"
    base = add(there, b"base", "base")
    top = add(there, b"top", "web", base=base)
    write_archive([top, base], lambda image: there / image.id, tmp_path / "x.tar.zst")
    return tmp_path / "x.tar.zst"


def imported(tmp_path: Path, file: Path, name: str = "") -> ImageManifest:
    request = ImportJob(images=str(tmp_path / "here"), file=str(file), name=name)
    return run(request, JobContext(tmp_path, lambda *_: None)).image


def names(tmp_path: Path) -> set[str]:
    return set(Library(tmp_path / "here", ImageManifest, "image").names())


def test_the_same_archive_twice_is_one_image_with_two_names(tmp_path: Path, exported: Path) -> None:
    first = imported(tmp_path, exported)
    assert imported(tmp_path, exported, "mine").id == first.id
    assert imported(tmp_path, exported).id == first.id
    assert names(tmp_path) == {"base", "web", "mine"}


def test_a_name_of_another_image_is_not_taken_away(tmp_path: Path, exported: Path) -> None:
    other = add(tmp_path / "here", b"other", "web")
    with pytest.raises(BangerError, match=other.id) as raised:
        imported(tmp_path, exported)
    assert raised.value.code is Code.CONFLICT
    assert names(tmp_path) == {"web"}
    imported(tmp_path, exported, "mine")
    assert names(tmp_path) == {"web", "mine", "base"}


def test_an_image_below_comes_without_its_name_when_that_is_taken(
    tmp_path: Path, exported: Path
) -> None:
    mine = add(tmp_path / "here", b"mine", "base")
    imported(tmp_path, exported)
    assert Library(tmp_path / "here", ImageManifest, "image").find("base") == mine
    assert names(tmp_path) == {"base", "web"}


def test_a_pipe_is_read_too(tmp_path: Path, exported: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(exported.read_bytes()))
    writer.start()
    assert imported(tmp_path, pipe).name == "web"
    writer.join()


def test_a_file_that_is_not_there_is_denied(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="No such file"):
        imported(tmp_path, tmp_path / "missing")
