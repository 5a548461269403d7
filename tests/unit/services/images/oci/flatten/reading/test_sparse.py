"""Sparse files that GNU tar writes in its four formats."""

import subprocess
from pathlib import Path

import pytest

from services.images.oci.flatten.limits import FlattenLimits
from services.images.oci.flatten.reading.byte_stream import ByteStream
from services.images.oci.flatten.reading.members import Budget, members
from services.images.oci.flatten.reading.sparse import checked
from shared.errors import BangerError


@pytest.mark.parametrize("count", [1, 3, 60])
@pytest.mark.parametrize(
    "form",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=lambda form: "-".join(form).replace("--", ""),
)
def test_tar_and_this_agree(form: list[str], count: int, tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        for number in range(count):
            file.seek(number * (1 << 18) + 5000)
            file.write(b"%d " % number * 1000)
        file.truncate((count + 1) << 18)
    argv = ["tar", "-C", str(tmp_path), "--sparse", *form, "-cf", "-", "file"]
    archive = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
    stream = ByteStream(iter([archive]))
    (member,) = members(stream, Budget(FlattenLimits()))
    assert member.path == (b"file",)
    assert member.extents
    content = bytearray(member.size)
    at = member.offset
    for start, length in member.extents:
        content[start : start + length] = archive[at : at + length]
        at += length
    assert content == (tmp_path / "file").read_bytes()


def test_empty_extents_are_dropped() -> None:
    assert checked(100, ((0, 5), (50, 0), (100, 0)), 5) == ((0, 5),)


@pytest.mark.parametrize("extents", [((5, 1), (0, 1)), ((0, 3), (2, 3)), ((99, 2),), ((0, -1),)])
def test_maps_that_do_not_fit(extents: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(BangerError):
        checked(100, extents, sum(length for _, length in extents))
