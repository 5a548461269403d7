"""What is asked before an image of this machine is read."""

from pathlib import Path

import pytest

from services.images.oci.blobs import BlobCache
from services.images.oci.pulling import PullOptions, pulled
from services.images.oci.reference import parse_any
from shared.errors import BangerError, Code
from tests.oci.container_images import Layout, layer


def needs(tmp_path: Path, source: str) -> list[int]:
    """How much space is asked for."""
    asked: list[int] = []
    options = PullOptions(BlobCache(tmp_path / "blobs"), tmp_path)
    with pulled(parse_any(source), options, lambda *_: None, lambda _: False, asked.append):
        return asked


def test_space_is_asked_for_a_layout(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image")
    layout.tag(layout.add_image([layer({"a": b"1"})]), "x")
    assert needs(tmp_path, f"oci:{layout.directory}")[0] > 0


@pytest.mark.parametrize("source", ["docker-archive:{}/none", "oci:{}/none"])
def test_what_is_not_there_is_named_with_how_it_is_written(tmp_path: Path, source: str) -> None:
    with pytest.raises(BangerError) as raised:
        needs(tmp_path, source.format(tmp_path))
    assert raised.value.code is Code.NOT_FOUND
    assert str(tmp_path / "none") in raised.value.message
    assert raised.value.hint.startswith("write it as ")


def test_a_directory_that_is_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match=r"has no index\.json") as raised:
        needs(tmp_path, f"oci:{tmp_path}")
    assert raised.value.code is Code.INVALID
    assert "OCI image layout" in raised.value.hint
