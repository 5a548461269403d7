"""Names of members and targets of hard links."""

import pytest

from services.images.oci.flatten.reading.names import link_path, member_path
from shared.errors import BangerError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a", (b"a",)),
        (b"./a//b/./c/", (b"a", b"b", b"c")),
        (b".", ()),
        (b"./", ()),
        (b"/", ()),
        (b"...", (b"...",)),
        (b"..a/b..", (b"..a", b"b..")),
        (b"\xff\n\\", (b"\xff\n\\",)),
        (b"a" * 255, (b"a" * 255,)),
    ],
)
def test_components(name: bytes, path: tuple[bytes, ...]) -> None:
    assert member_path(name) == path


@pytest.mark.parametrize("name", [b"", b"/a", b"..", b"a/..", b"a/../b", b"a" * 256, b"a/" * 2049])
def test_names_that_are_refused(name: bytes) -> None:
    with pytest.raises(BangerError):
        member_path(name)


def test_a_target_is_in_the_image_also_when_it_is_absolute() -> None:
    assert link_path(b"/usr/bin/a") == (b"usr", b"bin", b"a")
    with pytest.raises(BangerError):
        link_path(b"/")
