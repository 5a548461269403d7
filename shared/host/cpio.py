"""Writes cpio archives in the "newc" form, which Linux unpacks as an initramfs.

Format: cpio(5) "New ASCII Format" and the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst. An entry is a 110-byte header of
ASCII hexadecimal fields, the name with its NUL, padding to 4 bytes, the content, padding to 4.
Archives may be concatenated: the length of each is a multiple of 4, so the next one is aligned.

The same entries give the same bytes: times are 0, the owner is root, inodes count from 1.
"""

import stat
from dataclasses import dataclass, field

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_ALIGNMENT = 4
_SIZE_MAX = 0xFFFF_FFFF
"""The size field has eight hexadecimal digits."""


@dataclass
class Archive:
    """Entries in the order in which they are added. The kernel unpacks them in that order.

    Missing parent directories are added with mode 0755, because the kernel silently skips an
    entry whose directory does not exist. All paths are relative to the archive's root.
    """

    _parts: list[bytes] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory, "." for the root itself. Raises ValueError on a bad or repeated path."""
        self._add(path, stat.S_IFDIR | mode, b"")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file. Raises ValueError on a bad or repeated path, or 4 GiB and more."""
        self._add(path, stat.S_IFREG | mode, content)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link to ``target``. Raises ValueError on a bad or repeated path."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def to_bytes(self) -> bytes:
        """The whole archive with its trailer. More entries may be added afterwards."""
        return b"".join([*self._parts, _entry(0, _TRAILER, 0, b"")])

    def _add(self, path: str, mode: int, content: bytes) -> None:
        if not (path == "." and stat.S_ISDIR(mode)):
            _check_path(path)
        if path in self._seen:
            raise ValueError(f"cpio: {path!r} is in the archive already")
        if len(content) > _SIZE_MAX:
            raise ValueError(f"cpio: {path!r} has {len(content)} bytes, the format ends at 4 GiB")
        parent = path.rpartition("/")[0]
        if parent and parent not in self._seen:
            self.directory(parent)
        self._seen.add(path)
        self._parts.append(_entry(len(self._seen), path, mode, content))


def _check_path(path: str) -> None:
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"cpio: {path!r} is not a plain relative path")


def _entry(inode: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    fields = (
        inode,
        mode,
        0,  # uid
        0,  # gid
        1,  # links
        0,  # mtime
        len(content),
        0,  # device, major and minor
        0,
        0,  # rdev, major and minor
        0,
        len(name),
        0,  # checksum, used by the "070702" form only
    )
    header = _MAGIC + b"".join(b"%08X" % value for value in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
