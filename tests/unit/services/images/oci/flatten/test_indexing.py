"""The first pass: one tree of all layers, each with the sum that it was announced with."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.images.oci.flatten.indexing import Indexing, OnProgress
from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.tree.layer_tree import LayerTree
from shared.errors import BangerError
from tests.oci.layers import Compression, StoredLayer, file, stored, whiteout

LAYERS = [[file(b"a", b"1"), file(b"b", b"2")], [whiteout(b"a"), file(b"c", b"3")]]


def indexed(
    layers: Sequence[StoredLayer], limits: FlattenLimits, progress: OnProgress = lambda *_: None
) -> LayerTree:
    indexing = Indexing(layers, limits, progress)
    for layer in layers:
        indexing.read(layer)
    return indexing.tree


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_layers_make_one_tree(compression: Compression, tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    layers = stored(tmp_path, LAYERS, compression)
    tree = indexed(layers, FlattenLimits(), lambda *words: said.append(words))
    assert sorted(tree.root.children) == [b"b", b"c"]
    total = sum(layer.path.stat().st_size for layer in layers)
    assert said[-1] == ("index", total, total)


def test_a_layer_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    first, second = stored(tmp_path, LAYERS)
    swapped = [replace(first, path=second.path), second]
    with pytest.raises(BangerError, match="is not sha256:"):
        indexed(swapped, FlattenLimits())


def test_limits_are_for_all_layers_together(tmp_path: Path) -> None:
    layers = stored(tmp_path, LAYERS)
    indexed(layers, FlattenLimits(entries=4))
    with pytest.raises(BangerError):
        indexed(layers, FlattenLimits(entries=3))
