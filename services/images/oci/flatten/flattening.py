"""Layers in, one squashfs out: as a stream, without root, and with nothing unpacked on the host."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from services.images.oci.flatten.early_contents import EarlyContents, SupersededEarly
from services.images.oci.flatten.emission import Emission
from services.images.oci.flatten.indexing import Indexing, LayerSource, OnProgress
from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.writing.archive_sink import ArchiveSink
from services.images.oci.flatten.writing.squashfs import squashfs_writer

_DEFAULT = FlattenLimits()


def flatten(
    layers: Sequence[LayerSource],
    output: Path,
    limits: FlattenLimits = _DEFAULT,
    progress: OnProgress = lambda *_: None,
) -> tuple[str, ...]:
    """Make the squashfs ``output``, which is not there yet, of layers, the lowest first. Returns
    what was left out, in sentences.

    Raises:
        BangerError: ``invalid`` for layers that are damaged, not the announced ones, or ask for
            what no image may; ``too_large``, ``no_space``, ``missing_tool``. Nothing of ``output``
            is left then.
    """
    try:
        return _flatten(layers, output, limits, progress, topmost_in_one_pass=True)
    except SupersededEarly:
        return _flatten(layers, output, limits, progress, topmost_in_one_pass=False)


def _flatten(
    layers: Sequence[LayerSource],
    output: Path,
    limits: FlattenLimits,
    progress: OnProgress,
    *,
    topmost_in_one_pass: bool,
) -> tuple[str, ...]:
    indexing = Indexing(layers, limits, progress)
    tree = indexing.tree
    with ExitStack() as open_files:
        early = EarlyContents(
            tree.root,
            lambda: ArchiveSink(open_files.enter_context(squashfs_writer(output, tree.root))),
        )
        for layer in layers:
            is_early = topmost_in_one_pass and layer is layers[-1]
            indexing.read(layer, early.write if is_early else None)
        emission = Emission(tree)
        emission.write_names(early.sink)
        early.check(emission.found_early)
        emission.write_contents(layers, early.sink, progress)
    return tuple(tree.notices.lines())
