"""What of a layer does not get into the image, and what is said of it."""

from collections import defaultdict

from services.images.oci.flatten.limits import show
from services.images.oci.flatten.reading.member import LayerMember, MemberKind, Xattrs

STANDARD_NODES = frozenset(
    f"dev/{name}".encode()
    for name in (
        *("console", "full", "null", "ptmx", "random", "tty", "urandom", "zero", "fuse", "kmsg"),
        *(f"tty{number}" for number in range(64)),
        *("core", "fd", "initctl", "mem", "port", "kmem", "ram", "loop0", "loop1"),
    )
)
"""A guest's devtmpfs brings them; nobody misses those of the image."""
_OVERLAY_WHITEOUT = (0, 0)
_PREFIXES = (b"user.", b"trusted.", b"security.")
"""The extended attributes that squashfs can keep."""
_UNSAID = frozenset((b"security.selinux", b"system.nfs4_acl"))
"""Labels of the machine that made the layer. umoci and others leave them out as well."""
_OF_OVERLAY = b"trusted.overlay."
"""The kernel would obey them in a layer: show another file than the one there is."""
_EXAMPLES = 3


class Notices:
    """What was left out: how often, with the first examples."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._examples: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, what: str, path: tuple[bytes, ...]) -> None:
        self._counts[what] += 1
        if len(self._examples[what]) < _EXAMPLES:
            self._examples[what].append(show(b"/".join(path)))

    def lines(self) -> list[str]:
        """One line for each sort of thing."""
        return [
            f"left out: {count} {what} ({', '.join(self._examples[what])}"
            f"{', …' if count > _EXAMPLES else ''})"
            for what, count in self._counts.items()
        ]


def is_left_out(member: LayerMember, notices: Notices) -> bool:
    """Whether it is a device that an image may not bring.

    A device node gives its owner the device, whatever the guest's own /dev says. Character device
    0:0 is a whiteout of overlayfs (kernel, filesystems/overlayfs) and no device.
    """
    if member.kind not in (MemberKind.CHARACTER_DEVICE, MemberKind.BLOCK_DEVICE):
        return False
    if member.kind is MemberKind.CHARACTER_DEVICE and member.device == _OVERLAY_WHITEOUT:
        return False
    if b"/".join(member.path) not in STANDARD_NODES:
        notices.add("device nodes", member.path)
    return True


def kept_xattrs(member: LayerMember, notices: Notices) -> Xattrs:
    """The extended attributes of a member without those that no image may or can have."""
    if not member.xattrs:
        return ()
    kept = []
    for name, value in member.xattrs:
        if name.startswith(_PREFIXES) and not name.startswith(_OF_OVERLAY):
            if name not in _UNSAID:
                kept.append((name, value))
        elif name not in _UNSAID:
            notices.add("extended attributes that squashfs or overlayfs forbids", member.path)
    return tuple(kept)
