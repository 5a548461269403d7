"""The first pass: what the image will consist of, read from the headers of all layers."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from services.images.oci.flatten.limits import FlattenLimits, damaged
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.decompression import Advance, uncompressed
from services.images.oci.flatten.reading.members import Budget, members
from services.images.oci.flatten.tree.layer_tree import LayerTree

OnProgress = Callable[[str, int, int], None]
"""Takes a stage ("index" or "pack"), and how many bytes of how many it has done."""


class LayerSource(Protocol):
    """A layer on this host."""

    @property
    def path(self) -> Path:
        """The blob."""

    @property
    def diff_id(self) -> str:
        """``sha256:`` and the sum of the uncompressed archive, from the image's configuration;
        empty for a tar that nobody has announced."""


def index_layers(
    layers: Sequence[LayerSource], limits: FlattenLimits, progress: OnProgress
) -> LayerTree:
    """Apply the layers, the lowest first, and check that each is the one it is called.

    Raises:
        BangerError: ``invalid`` for a layer that is damaged, not the announced one, or asks for
            what no image may; ``too_large``; ``missing_tool``.
    """
    tree, budget = LayerTree(), Budget(limits)
    advance = count_up("index", sum(layer.path.stat().st_size for layer in layers), progress)
    for layer in layers:
        tree.begin_layer()
        _index(layer, tree, budget, advance)
    return tree


def count_up(stage: str, total: int, progress: OnProgress) -> Advance:
    """Adds up what is done of a stage, and reports it."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(stage, done, total)

    return advance


def _index(layer: LayerSource, tree: LayerTree, budget: Budget, advance: Advance) -> None:
    digest = hashlib.sha256()

    def summed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            budget.data(len(chunk))
            digest.update(chunk)
            yield chunk

    with uncompressed(layer.path, advance) as chunks:
        stream = ByteStream(summed(chunks))
        for entry in members(stream, budget):
            tree.apply(entry)
        stream.drain()
    if layer.diff_id and layer.diff_id != f"sha256:{digest.hexdigest()}":
        raise damaged(f"its archive is not {layer.diff_id[:80]}")
