"""``docker-archive:FILE``: what ``docker save`` and ``podman save`` write, as a file.

The archive is read once, in order. Its files are put into a directory under numbers; their names
are looked up in a table and never become paths. It holds Docker's ``manifest.json``, or is an OCI
image layout in a tar.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from services.images.library.publish import refused
from services.images.oci.documents import (
    LONGEST_DOCUMENT,
    MOST_OCI_LAYERS,
    decode,
    digest_of,
    invalid,
)
from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.decompression import Advance, uncompressed
from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.reading.members import Budget, members
from services.images.oci.image_config import LONGEST_CONFIG, LayerBlob, Pulled, read_config
from services.images.oci.layout import INDEX, read_file, read_layout
from services.images.oci.reference import parse
from shared.errors import BangerError, Code
from shared.plain_text import printable

MANIFEST = "manifest.json"
_LIMITS = FlattenLimits(entries=20_000, metadata_bytes=32 << 20)
_MOST_LINKS = 16
_NO_ARCHIVE = "it is not an archive of docker save"

_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class _SavedImage(msgspec.Struct, rename="pascal"):
    config: _Text
    layers: Annotated[list[_Text], msgspec.Meta(max_length=MOST_OCI_LAYERS)]
    repo_tags: list[_Text] | None = None


@dataclass
class ArchiveFiles:
    """The members of an archive, by their names in it."""

    directory: Path
    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def locate(self, name: str) -> Path:
        """The file that has this name, also through links. Raises ``invalid`` for none."""
        sought = name
        for _ in range(_MOST_LINKS):
            if found := self.files.get(sought):
                return found
            if sought not in self.links:
                break
            sought = self.links[sought]
        raise invalid(f"the archive has no file {printable(name, 200)!r}")


def read_archive(file: Path, name: str, directory: Path, advance: Advance) -> Pulled:
    """The image ``name`` of an archive, or with "" the only one. ``file`` is a regular
    file, and may be compressed; ``directory``, which is private, gets what is in it.

    Raises:
        BangerError: ``not_found``, ``ambiguous``, ``invalid``, ``too_large``, ``no_space``.
    """
    found = unpack(file, directory, advance)
    if MANIFEST in found.files:
        return _read_saved(found, name)
    if INDEX in found.files:
        return read_layout(found.locate, name)
    raise invalid(_NO_ARCHIVE, f"it has neither {MANIFEST} nor {INDEX} at its top")


def unpack(file: Path, directory: Path, advance: Advance) -> ArchiveFiles:
    """Put the files of an archive into ``directory`` under numbers. Raises as ``read_archive``."""
    found = ArchiveFiles(directory)
    try:
        with uncompressed(file, advance) as chunks:
            budget = Budget(_LIMITS)
            stream = ByteStream(_counted(chunks, budget))
            for entry in members(stream, budget):
                _take(entry, stream, found)
            stream.drain()  # a compressed one has its sum at its end
    except OSError as error:
        raise refused(Path(error.filename or directory), error) from error
    except BangerError as error:
        if error.code is Code.INVALID and not found.files:  # no tar, or of something else
            raise invalid(_NO_ARCHIVE, "write one: docker save IMAGE -o FILE") from error
        raise
    return found


def _counted(chunks: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
    """Raises ``too_large`` for an archive that unpacks to too much."""
    for chunk in chunks:
        budget.data(len(chunk))
        yield chunk


def _take(entry: LayerMember, stream: ByteStream, found: ArchiveFiles) -> None:
    name = _text(entry.path)
    if entry.kind in (MemberKind.SYMLINK, MemberKind.HARD_LINK):
        above = entry.path[:-1] if entry.kind is MemberKind.SYMLINK else ()
        target = os.path.normpath(b"/".join((*above, entry.target)))
        found.links[name] = _text(tuple(target.split(b"/")))
    elif entry.kind is MemberKind.FILE and entry.extents is None:
        path = found.directory / f"{len(found.files):06}"
        with open(path, "xb") as output:
            for piece in stream.pieces(entry.stored):
                output.write(piece)
        found.files[name] = path
    elif entry.kind is not MemberKind.DIRECTORY:
        raise invalid(f"the archive holds {printable(name, 200)!r}, which is no plain file")


def _text(path: tuple[bytes, ...]) -> str:
    return b"/".join(path).decode(errors="surrogateescape")


def _read_saved(found: ArchiveFiles, name: str) -> Pulled:
    content = read_file(found.locate(MANIFEST), LONGEST_DOCUMENT)
    saved = _select(decode(content, list[_SavedImage], MANIFEST), name)
    config = read_file(found.locate(saved.config), LONGEST_CONFIG)
    image = read_config(config, len(saved.layers))
    layers = []
    for layer, diff_id in zip(saved.layers, image.diff_ids, strict=True):
        path = found.locate(layer)
        layers.append(LayerBlob(path, diff_id, diff_id, path.stat().st_size))
    return Pulled(image.config, layers, digest_of(config), (saved.repo_tags or [""])[0])


def _select(images: list[_SavedImage], name: str) -> _SavedImage:
    """``name`` is a reference as docker writes it."""
    if name:
        wanted = str(parse(name))
        chosen = [each for each in images if wanted in map(_full, each.repo_tags or [])]
        if not chosen:
            raise BangerError(
                Code.NOT_FOUND, f"the archive has no image {name!r}", hint=_tags(images)
            )
        return chosen[0]
    if len(images) != 1:
        raise BangerError(
            Code.AMBIGUOUS if images else Code.INVALID,
            f"the archive holds {len(images)} images",
            hint=f"add :NAME; {_tags(images)}" if images else "",
        )
    return images[0]


def _full(tag: str) -> str:
    try:
        return str(parse(tag))
    except BangerError:
        return ""


def _tags(images: list[_SavedImage]) -> str:
    tags = [tag for each in images for tag in each.repo_tags or []]
    return printable(f"it has: {', '.join(tags) or 'no names'}", 500)
