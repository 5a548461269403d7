"""Where a path leads: directories are looked up from the root, symbolic links among them followed.

Nothing leads out of the image. An absolute link starts again at the image's root. One that goes
above the root is refused, although Linux would stay there: no image needs it, and an archive that
tries to write through such a link was made to write somewhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.images.oci.flatten.limits import LINKS_FOLLOWED, PATH_BYTES, refused, show
from services.images.oci.flatten.reading.member import MemberKind
from services.images.oci.flatten.tree.inode import DirectoryInode, Inode, implied_directory

_MOST_STEPS = 1 << 14
"""Names looked up for one path. 255 links of 4096 bytes each would be half a million of them."""


@dataclass(slots=True)
class Place:
    """A directory: ``directories`` on the way, the root first, and the ``names`` between them."""

    directories: list[DirectoryInode]
    names: list[bytes]

    @property
    def directory(self) -> DirectoryInode:
        return self.directories[-1]


def place_of(root: DirectoryInode, path: Sequence[bytes]) -> Place | None:
    """The directory ``path``, if it is there.

    Raises:
        BangerError: ``invalid`` for links in a circle or out of the image.
    """
    directories = [root]
    for name in path:
        child = directories[-1].children.get(name)
        if type(child) is not DirectoryInode:
            break
        directories.append(child)
    else:
        return Place(directories, list(path))
    steps = _follow(root, path)
    found = [inode for _, inode in steps]
    known = [inode for inode in found if isinstance(inode, DirectoryInode)]
    return Place([root, *known], [name for name, _ in steps]) if len(known) == len(found) else None


def make_place(root: DirectoryInode, path: Sequence[bytes], name: bytes) -> Place:
    """The directory ``path`` for a member called ``name``, with those that are missing made.

    Raises:
        BangerError: ``invalid``, also when something else has the name of a directory.
    """
    if place := place_of(root, path):
        return place
    place = Place([root], [])
    for part, inode in _follow(root, path):
        if inode is None:
            # Missing: an earlier round may have made it (a link that leads to the same name).
            inode = place.directory.children.setdefault(part, implied_directory())
        if not isinstance(inode, DirectoryInode):
            raise refused(f"{show(b'/'.join(path))} is below something that is no directory")
        place.directories.append(inode)
        place.names.append(part)
    if sum(map(len, (*place.names, name))) + len(place.names) > PATH_BYTES:
        raise refused(f"a path has more than {PATH_BYTES} bytes: {show(b'/'.join(path))}")
    return place


def _follow(root: DirectoryInode, path: Sequence[bytes]) -> list[tuple[bytes, Inode | None]]:
    """The names from the root on, links resolved, and what they are; None for what is missing."""
    steps: list[tuple[bytes, Inode | None]] = []
    ahead = list(reversed(path))
    links = walked = 0
    while ahead:
        name = ahead.pop()
        walked += 1
        if walked > _MOST_STEPS:
            raise refused(f"{show(b'/'.join(path))} goes through links without an end")
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not steps:
                raise refused(f"{show(b'/'.join(path))} goes through a link out of the image")
            steps.pop()
            continue
        above = steps[-1][1] if steps else root
        inode = above.children.get(name) if isinstance(above, DirectoryInode) else None
        if inode is None or inode.kind is not MemberKind.SYMLINK:
            steps.append((name, inode))
            continue
        links += 1
        if links > LINKS_FOLLOWED:
            raise refused(f"{show(b'/'.join(path))} goes through links in a circle")
        if inode.target.startswith(b"/"):
            steps.clear()
        ahead.extend(reversed(inode.target.split(b"/")))
    return steps
