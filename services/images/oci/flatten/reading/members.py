"""The members of a layer's archive, in order: headers are read, contents skipped."""

from collections.abc import Iterator

from services.images.oci.flatten.limits import (
    EXTENSION_BYTES,
    PATH_BYTES,
    FlattenLimits,
    damaged,
    refused,
    show,
    too_large,
)
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.extended_header import ExtendedHeader
from services.images.oci.flatten.reading.header import (
    BLOCK,
    FILE_TYPES,
    WITH_DATA,
    ZERO_BLOCK,
    Header,
    read_header,
)
from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.reading.names import link_path, member_path
from services.images.oci.flatten.reading.sparse import checked, is_sparse, old_format, pax_format

_KINDS = {
    ord("1"): MemberKind.HARD_LINK,
    ord("2"): MemberKind.SYMLINK,
    ord("3"): MemberKind.CHARACTER_DEVICE,
    ord("4"): MemberKind.BLOCK_DEVICE,
    ord("5"): MemberKind.DIRECTORY,
    ord("6"): MemberKind.FIFO,
}
_LAST_TIME = 2**32 - 1
_LAST_ID = 2**32 - 2
"""-1 means "no such user" to chown(2)."""


class Budget:
    """What of ``FlattenLimits`` is used, by all layers together."""

    def __init__(self, limits: FlattenLimits) -> None:
        self.limits = limits
        self.entries = self.metadata = self.total = 0

    def header(self) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise too_large(f"it has more than {self.limits.entries} files")

    def names(self, count: int) -> None:
        self.metadata += count
        if self.metadata > self.limits.metadata_bytes:
            raise too_large(f"its names take more than {self.limits.metadata_bytes >> 20} MiB")

    def data(self, count: int) -> None:
        self.total += count
        if self.total > self.limits.total_bytes:
            raise too_large(f"it unpacks to more than {self.limits.total_bytes >> 20} MiB")


def members(stream: ByteStream, budget: Budget) -> Iterator[LayerMember]:
    """Read an archive up to its end: two blocks of zeros, or the end of the stream.

    Raises:
        BangerError: ``invalid``, ``too_large``
    """
    while not stream.at_end():
        header, block, extended = _next_header(stream, budget)
        if header is None:
            return
        member = _member(header, block, extended, stream, budget)
        offset, stored = member.offset, member.stored
        yield member
        stream.skip(offset + stored + _padding(stored) - stream.position)


def _next_header(stream: ByteStream, budget: Budget) -> tuple[Header | None, bytes, ExtendedHeader]:
    """The header of the next member with its block, and what precedes it; none at the end."""
    extended = ExtendedHeader()
    zeros = 0
    while True:
        if extended.total == 0 and stream.at_end():
            return None, b"", extended
        block = stream.take(BLOCK)
        if block == ZERO_BLOCK:
            zeros += 1
            if extended.total:
                raise damaged("an extended header has no member")
            if zeros == 2:
                return None, b"", extended
            continue
        if zeros:
            raise damaged("a block of zeros is in the middle of the archive")
        budget.header()
        header = read_header(block)
        if header.type not in b"xgLK":
            return header, block, extended
        _read_extension(header, stream, extended)


def _read_extension(header: Header, stream: ByteStream, extended: ExtendedHeader) -> None:
    """Global headers ("g") say nothing of a file: git's holds a commit."""
    if not 0 <= header.size <= EXTENSION_BYTES - extended.total:
        raise too_large(f"a member has more than {EXTENSION_BYTES >> 20} MiB of extended headers")
    content = stream.take(header.size)
    stream.skip(_padding(header.size))
    if header.type == ord("x"):
        extended.add(content)
    elif header.type != ord("g"):
        key = b"path" if header.type == ord("L") else b"linkpath"
        extended.values.setdefault(key, content.partition(b"\0")[0])
    extended.total += BLOCK + header.size


def _member(
    header: Header, block: bytes, extended: ExtendedHeader, stream: ByteStream, budget: Budget
) -> LayerMember:
    said = extended.values
    name = said.get(b"GNU.sparse.name") or said.get(b"path", header.name)
    path = member_path(name)
    kind = _kind(header, name)
    member = LayerMember(
        path=path,
        kind=kind,
        mode=header.mode & 0o7777,
        uid=_owner(extended.number(b"uid"), header.uid),
        gid=_owner(extended.number(b"gid"), header.gid),
        mtime=_time(said.get(b"mtime"), header.mtime),
        xattrs=tuple(sorted(extended.xattrs.items())),
        offset=stream.position,
        device=header.device,
    )
    if kind in (MemberKind.SYMLINK, MemberKind.HARD_LINK):
        member.target = _target(said.get(b"linkpath", header.link), kind, name)
    if header.type in WITH_DATA:
        _describe_data(member, header, block, extended, stream)
    held = sum(len(key) + len(value) for key, value in member.xattrs)
    budget.names(len(name) + len(member.target) + held + 16 * len(member.extents or ()))
    budget.data(max(0, member.size - member.stored))  # its holes
    return member


def _kind(header: Header, name: bytes) -> MemberKind:
    if header.type in FILE_TYPES:
        # Before ustar, directories had no type of their own, but a name that ends so.
        is_directory = header.type == 0 and name.endswith(b"/")
        return MemberKind.DIRECTORY if is_directory else MemberKind.FILE
    kind = _KINDS.get(header.type)
    if kind is None:
        raise refused(f"{show(name)} has the unknown type {show(bytes([header.type]))!r}")
    return kind


def _describe_data(
    member: LayerMember, header: Header, block: bytes, extended: ExtendedHeader, stream: ByteStream
) -> None:
    told = extended.number(b"size")
    stored = header.size if told is None else told
    if stored < 0 or stored >= 1 << 63:
        raise damaged(f"{show(b'/'.join(member.path))} has the size {stored}")
    extents = None
    size = stored
    before = stream.position
    if header.type == ord("S"):
        size, extents = old_format(block, stream.take)
    elif is_sparse(extended):
        size, extents = pax_format(extended, stream.take)
        stored -= stream.position - before  # a map in front of the data counts as data
    if extents is not None:
        if size >= 1 << 63:
            raise damaged(f"{show(b'/'.join(member.path))} has the size {size}")
        extents = checked(size, extents, stored)
    member.size, member.stored, member.extents = size, stored, extents
    member.offset = stream.position
    if member.kind is MemberKind.DIRECTORY:
        member.size = 0  # what it holds is skipped


def _target(target: bytes, kind: MemberKind, name: bytes) -> bytes:
    if not target or len(target) > PATH_BYTES:
        raise refused(f"the link {show(name)} has an impossible target")
    return b"/".join(link_path(target)) if kind is MemberKind.HARD_LINK else target


def _owner(said: int | None, header: int) -> int:
    owner = header if said is None else said
    if not 0 <= owner <= _LAST_ID:
        raise refused(f"a file belongs to the impossible id {owner}")
    return owner


def _time(said: bytes | None, header: int) -> int:
    """Whole seconds. Times before 1970 and after 2106, which squashfs cannot say, are cut off."""
    seconds = header
    if said is not None:
        whole = said.partition(b".")[0]
        if not whole.removeprefix(b"-").isdigit() or len(whole) > 20:
            raise damaged(f"a time is {show(said)!r}")
        seconds = int(whole)
    return max(0, min(seconds, _LAST_TIME))


def _padding(size: int) -> int:
    return -size % BLOCK
