"""Sparse files: copies keep the holes, and the sum does not see where they are."""

import os
from pathlib import Path

import pytest

from shared.vm.sparse import content_sum, copy_sparse, extents

SIZE = 8 << 20


def _file(path: Path, *places: int) -> Path:
    with path.open("wb") as file:
        os.truncate(file.fileno(), SIZE)
        for place in places:
            os.pwrite(file.fileno(), b"data", place)
    return path


def _extents(path: Path) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        return list(extents(file.fileno()))


@pytest.mark.parametrize("places", [(), (0,), (1 << 20, 3 << 20), (SIZE - 4,)])
def test_copy_has_the_same_content_and_holes(tmp_path: Path, places: tuple[int, ...]) -> None:
    source = _file(tmp_path / "source", *places)
    target = tmp_path / "target"
    assert copy_sparse(source, target) in ("reflink", "sparse")
    assert target.read_bytes() == source.read_bytes()
    assert len(_extents(target)) == len(places)
    assert target.stat().st_mode & 0o777 == 0o600


def test_copy_replaces_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"x" * (2 * SIZE))
    copy_sparse(_file(tmp_path / "source", 5), target)
    assert target.read_bytes() == (tmp_path / "source").read_bytes()


def test_sum_is_the_same_wherever_the_holes_are(tmp_path: Path) -> None:
    source = _file(tmp_path / "source", 1 << 20, 3 << 20)
    dense = tmp_path / "dense"
    dense.write_bytes(source.read_bytes())
    assert len(_extents(dense)) == 1
    assert content_sum(dense) == content_sum(source)


@pytest.mark.parametrize("other", [(1 << 20,), (1 << 20, 4 << 20), ()])
def test_sum_is_another_for_other_content_or_another_place(
    tmp_path: Path, other: tuple[int, ...]
) -> None:
    source = _file(tmp_path / "source", 1 << 20, 3 << 20)
    assert content_sum(source) != content_sum(_file(tmp_path / "other", *other))
