"""The first pass: one tree of all layers, each with the sum that it was announced with."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.images.oci.flatten.indexing import index_layers
from services.images.oci.flatten.limits import FlattenLimits
from shared.errors import BangerError
from tests.layers import Compression, file, stored, whiteout

LAYERS = [[file(b"a", b"1"), file(b"b", b"2")], [whiteout(b"a"), file(b"c", b"3")]]


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_layers_make_one_tree(compression: Compression, tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    layers = stored(tmp_path, LAYERS, compression)
    tree = index_layers(layers, FlattenLimits(), lambda *words: said.append(words))
    assert sorted(tree.root.children) == [b"b", b"c"]
    total = sum(layer.path.stat().st_size for layer in layers)
    assert said[-1] == ("index", total, total)


def test_a_layer_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    first, second = stored(tmp_path, LAYERS)
    swapped = [replace(first, path=second.path), second]
    with pytest.raises(BangerError, match="is not sha256:"):
        index_layers(swapped, FlattenLimits(), lambda *_: None)


def test_limits_are_for_all_layers_together(tmp_path: Path) -> None:
    layers = stored(tmp_path, LAYERS)
    index_layers(layers, FlattenLimits(entries=4), lambda *_: None)
    with pytest.raises(BangerError):
        index_layers(layers, FlattenLimits(entries=3), lambda *_: None)
