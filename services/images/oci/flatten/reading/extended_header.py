"""Extended headers of pax archives (POSIX.1-2017, pax, "pax Extended Header").

They replace fields of the header that follows. Records that have no meaning for an image, such as
times of access, names of owners and comments, are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.images.oci.flatten.limits import XATTR_BYTES, damaged, refused, show

XATTR = b"SCHILY.xattr."
_ZERO_NUL = (b"path", b"linkpath", b"GNU.sparse.name")
_NUMBERS = (b"size", b"uid", b"gid", b"GNU.sparse.size", b"GNU.sparse.realsize")
_SPARSE = (
    *(b"GNU.sparse." + key for key in (b"major", b"minor", b"map", b"numblocks")),
    *(b"GNU.sparse.name", b"GNU.sparse.size", b"GNU.sparse.realsize"),
)
_KEPT = frozenset((*_ZERO_NUL, *_NUMBERS, *_SPARSE, b"mtime"))


@dataclass
class ExtendedHeader:
    """What extended headers say of the next member."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse_pairs: list[int] = field(default_factory=list)
    """Format 0.0 of sparse files: offset and length of each extent, in records of their own."""
    total: int = 0
    """What all of it took in the archive."""

    def number(self, key: bytes) -> int | None:
        """The decimal value of ``key``, if it is there.

        Raises:
            BangerError: ``invalid``
        """
        value = self.values.get(key)
        return None if value is None else decimal(value, key)

    def add(self, content: bytes) -> None:
        """Read an extended header. Of two records with one key the last counts.

        Raises:
            BangerError: ``invalid``
        """
        self.total += len(content)
        for key, value in records(content):
            if key.startswith(XATTR):
                self._add_xattr(key[len(XATTR) :], value)
            elif key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                self.sparse_pairs.append(decimal(value, key))
            elif key in _KEPT:
                if key in _ZERO_NUL and b"\0" in value:
                    raise refused(f"a name has a zero byte: {show(value)}")
                self.values[key] = value

    def _add_xattr(self, name: bytes, value: bytes) -> None:
        if not name or len(name) > 255 or b"\0" in name:
            raise refused(f"an extended attribute has an impossible name: {show(name)}")
        if len(value) > XATTR_BYTES:
            raise refused(f"the extended attribute {show(name)} has more than {XATTR_BYTES} bytes")
        self.xattrs[name] = value


def decimal(value: bytes, key: bytes) -> int:
    """Raises:
    BangerError: ``invalid`` unless it is a decimal number of at most 64 bits.
    """
    if not value.isdigit() or len(value) > 20:
        raise damaged(f"{show(key)} is {show(value)!r}")
    return int(value)


def records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record "LENGTH KEY=VALUE\\n", where LENGTH counts the whole record.

    Raises:
        BangerError: ``invalid``
    """
    at = 0
    while at < len(content):
        if not content[at]:
            if content.count(b"\0", at) == len(content) - at:
                return  # padding inside, which some writers leave
            raise damaged("an extended header has a zero byte for a length")
        space = content.find(b" ", at, at + 12)
        length = content[at:space] if space > 0 else b""
        if not length.isdigit():
            raise damaged("an extended header has no length")
        end = at + int(length)
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if end > len(content) or end <= space + 2 or content[end - 1] != 0x0A or not equals:
            raise damaged("an extended header has a record that does not fit")
        if not key:
            raise damaged("an extended header has a record without a key")
        yield key, value
        at = end


def record(key: bytes, value: bytes) -> bytes:
    """One record. Its length counts the digits of the length, too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)
