"""The first pass: what the image will consist of, read from the headers of all layers."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from services.images.oci.flatten.limits import FlattenLimits, damaged
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.decompression import Advance, uncompressed
from services.images.oci.flatten.reading.members import Budget, members
from services.images.oci.flatten.tree.layer_tree import LayerTree, NewFile

OnProgress = Callable[[str, int, int], None]
"""Takes a stage, such as "index" or "pack", and how many bytes of how many it has done."""
OnFile = Callable[[NewFile, ByteStream], None]


class LayerSource(Protocol):
    """A layer on this host."""

    @property
    def path(self) -> Path:
        """The blob."""

    @property
    def diff_id(self) -> str:
        """``sha256:`` and the sum of the uncompressed archive, from the image's configuration;
        empty for a tar that nobody has announced."""


def count_up(stage: str, total: int, progress: OnProgress) -> Advance:
    """Adds up what is done of a stage, and reports it."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(stage, done, total)

    return advance


class Indexing:
    """Applies layers to one ``tree``, the lowest first, and checks that each is the one it is
    called. ``layers`` are all that are going to be read."""

    def __init__(
        self, layers: Sequence[LayerSource], limits: FlattenLimits, progress: OnProgress
    ) -> None:
        self.tree = LayerTree()
        self._budget = Budget(limits)
        total = sum(layer.path.stat().st_size for layer in layers)
        self._advance = count_up("index", total, progress)

    def read(self, layer: LayerSource, on_file: OnFile | None = None) -> None:
        """Apply the next layer. ``on_file`` gets each file of it; it may read the contents.

        Raises:
            BangerError: ``invalid`` for a layer that is damaged, not the announced one, or asks for
                what no image may; ``too_large``; ``missing_tool``.
        """
        digest = hashlib.sha256()
        self.tree.begin_layer()
        with uncompressed(layer.path, self._advance) as chunks:
            stream = ByteStream(self._summed(chunks, digest))
            for member in members(stream, self._budget):
                new = self.tree.apply(member)
                if new and on_file:
                    on_file(new, stream)
            stream.drain()
        if layer.diff_id and layer.diff_id != f"sha256:{digest.hexdigest()}":
            raise damaged(f"its archive is not {layer.diff_id[:80]}")

    def _summed(self, chunks: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
        for chunk in chunks:
            self._budget.data(len(chunk))
            digest.update(chunk)
            yield chunk
