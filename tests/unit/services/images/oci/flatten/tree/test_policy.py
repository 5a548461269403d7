"""What does not get into an image."""

import pytest

from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.policy import Notices, is_left_out, kept_xattrs


def member(
    path: str = "a",
    kind: MemberKind = MemberKind.FILE,
    device: tuple[int, int] = (8, 0),
    xattrs: tuple[tuple[bytes, bytes], ...] = (),
) -> LayerMember:
    return LayerMember(
        path=tuple(path.encode().split(b"/")),
        kind=kind,
        mode=0o4755,
        uid=0,
        gid=0,
        mtime=0,
        device=device,
        xattrs=xattrs,
    )


@pytest.mark.parametrize(
    ("path", "kind", "device", "left_out", "said"),
    [
        ("dev/sda", MemberKind.BLOCK_DEVICE, (8, 0), True, True),
        ("root/mem", MemberKind.CHARACTER_DEVICE, (1, 1), True, True),
        ("dev/null", MemberKind.CHARACTER_DEVICE, (1, 3), True, False),
        ("gone", MemberKind.CHARACTER_DEVICE, (0, 0), False, False),
        ("gone", MemberKind.BLOCK_DEVICE, (0, 0), True, True),
        ("pipe", MemberKind.FIFO, (0, 0), False, False),
        ("setuid", MemberKind.FILE, (0, 0), False, False),
    ],
)
def test_devices_but_nothing_else(
    path: str, kind: MemberKind, device: tuple[int, int], left_out: bool, said: bool
) -> None:
    notices = Notices()
    assert is_left_out(member(path, kind, device), notices) is left_out
    assert bool(notices.lines()) is said


def test_attributes_that_squashfs_has_stay() -> None:
    notices = Notices()
    kept = ((b"security.capability", b"c"), (b"trusted.a", b"t"), (b"user.a", b"u"))
    left = ((b"security.selinux", b""), (b"system.posix_acl_access", b""))
    of_overlay = ((b"trusted.overlay.redirect", b"/etc"),)
    assert kept_xattrs(member(xattrs=(*kept, *left, *of_overlay)), notices) == kept
    (line,) = notices.lines()
    assert line.startswith("left out: 2 extended attributes")


def test_a_notice_counts_all_and_names_few() -> None:
    notices = Notices()
    for number in range(1000):
        is_left_out(member(f"\x1b{number}", MemberKind.BLOCK_DEVICE), notices)
    assert notices.lines() == ["left out: 1000 device nodes (\ufffd0, \ufffd1, \ufffd2, …)"]
