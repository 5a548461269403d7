"""The topmost layer in one pass, and layers that do not let themselves be packed so."""

import subprocess
from pathlib import Path

import pytest

from services.images.oci.flatten import flattening
from services.images.oci.flatten.flattening import flatten
from tests.oci.layers import directory, file, hard_link, stored, symlink, whiteout

LOWER = [
    *(directory(b"usr"), symlink(b"lib", b"usr")),
    *(file(b"usr/a", b"lower"), file(b"gone/x", b"x")),
]
ONE_PASS = {
    "files": [file(b"a", b"1"), file(b"b", b"2")],
    "replacing lower ones": [file(b"usr/a", b"upper"), file(b"gone", b"file")],
    "through a link": [file(b"lib/a", b"upper"), file(b"lib/b", b"new")],
    "whiteouts": [file(b"gone/a", b"1"), whiteout(b"gone"), whiteout(b"usr/a")],
    "hard links": [file(b"z", b"1"), hard_link(b"a", b"z"), hard_link(b"b", b"usr/a")],
    "directories after their files": [file(b"d/e/f", b"1"), directory(b"d", mode=0o700)],
    "the root first": [directory(b".", mode=0o700), file(b"a", b"1")],
    "an empty file that is replaced": [file(b"a"), file(b"a", b"1")],
    "none with contents, the root last": [symlink(b"s", b"t"), directory(b".", mode=0o711)],
}
TWO_PASSES = {
    "a file twice": [file(b"a", b"first"), file(b"a", b"second")],
    "a file that becomes a directory": [file(b"a", b"1"), directory(b"a"), file(b"a/b", b"2")],
    "a directory that becomes a link": [file(b"d/e", b"1"), symlink(b"d", b"usr")],
    "a file that keeps only its other name": [
        *(file(b"a", b"1"), hard_link(b"b", b"a"), symlink(b"a", b"b"))
    ],
    "the root last": [file(b"a", b"1"), directory(b".", mode=0o700)],
}


def listed(image: Path) -> str:
    """Modes, owners, sizes and names, and the contents of all files; the date of the root is new
    each time."""
    argv = ["unsquashfs", "-lln", str(image)]
    _, *lines = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout.split(
        "\n"
    )
    names = [line.rpartition("squashfs-root/")[2] for line in lines if line.startswith("-")]
    argv = ["unsquashfs", "-cat", str(image), *names]
    contents = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout if names else b""
    return "\n".join((*lines, repr(contents)))


@pytest.mark.parametrize("name", [*ONE_PASS, *TWO_PASSES])
def test_it_is_the_same_image_as_in_two_passes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[bool] = []
    plain = flattening._flatten

    def counted(*arguments: object, topmost_in_one_pass: bool) -> object:
        passes.append(topmost_in_one_pass)
        return plain(*arguments, topmost_in_one_pass=topmost_in_one_pass)  # type: ignore[arg-type]

    monkeypatch.setattr(flattening, "_flatten", counted)
    layers = stored(tmp_path / "blobs", [LOWER, {**ONE_PASS, **TWO_PASSES}[name]], "gzip")
    notices = flatten(layers, tmp_path / "image")
    assert passes == ([True] if name in ONE_PASS else [True, False])
    expected = counted(
        layers, tmp_path / "two", flattening._DEFAULT, lambda *_: None, topmost_in_one_pass=False
    )
    assert notices == expected
    assert listed(tmp_path / "image") == listed(tmp_path / "two")
