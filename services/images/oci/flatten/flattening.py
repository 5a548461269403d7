"""Layers in, one squashfs out: as a stream, without root, and with nothing unpacked on the host."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.images.oci.flatten.emission import Emission
from services.images.oci.flatten.indexing import LayerSource, OnProgress, index_layers
from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.squashfs import squashfs_writer

_DEFAULT = FlattenLimits()


@dataclass(frozen=True)
class Flattened:
    """What has become of an image's layers."""

    inodes: int
    content_bytes: int
    notices: tuple[str, ...]
    """What was left out of it, a line each; a person may read them."""


def flatten(
    layers: Sequence[LayerSource],
    output: Path,
    limits: FlattenLimits = _DEFAULT,
    progress: OnProgress = lambda *_: None,
) -> Flattened:
    """Make the squashfs ``output``, which is not there yet, of layers, the lowest first.

    Raises:
        BangerError: ``invalid`` for layers that are damaged, not the announced ones, or ask for
            what no image may; ``too_large``, ``no_space``, ``missing_tool``. Nothing of ``output``
            is left then.
    """
    tree = index_layers(layers, limits, progress)
    emission = Emission(tree)
    with squashfs_writer(output, tree.root) as descriptor:
        emission.write(layers, ArchiveSink(descriptor), progress)
    return Flattened(emission.inodes, emission.content_bytes, tuple(tree.notices.lines()))
