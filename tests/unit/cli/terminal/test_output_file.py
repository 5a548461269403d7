"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from cli.terminal import output_file
from cli.terminal.output_file import DraftFile, unnamed_file
from shared.errors import BangerError, Code


def fill(draft: DraftFile, content: bytes) -> None:
    """As a service does."""
    Path(draft.address).write_bytes(content)


@pytest.fixture(params=["unnamed", "named"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On filesystems that have files without names, and on others."""
    if request.param == "named":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_RDONLY | os.O_DIRECTORY)


@pytest.mark.usefixtures("_way")
def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with output_file.output_file(str(path)) as draft:
        fill(draft, b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("_way")
def test_what_was_there_stays_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def fail() -> None:
        with output_file.output_file(str(path)) as draft:
            fill(draft, b"new")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("_way")
def test_its_mode_is_that_of_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("")
    path.chmod(0o600)
    before = os.umask(0o027)
    try:
        with output_file.output_file(str(path)):
            pass
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "out").symlink_to("precious")
    with output_file.output_file(str(tmp_path / "out")) as draft:
        fill(draft, b"new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "out").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with output_file.output_file(str(tmp_path / "pipe")) as draft:
        fill(draft, b"new")
    assert os.read(reader, 100) == b"new"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("path", "code"),
    [(".", Code.CONFLICT), ("no/such", Code.NOT_FOUND), ("file/below", Code.NOT_FOUND)],
)
def test_what_cannot_be_written_is_refused_first(tmp_path: Path, path: str, code: Code) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BangerError) as raised:
        output_file.check_output_file(str(tmp_path / path))
    assert raised.value.code is code


def test_a_file_that_never_has_a_name_is_copied_from_its_beginning(tmp_path: Path) -> None:
    with unnamed_file() as draft, (tmp_path / "sink").open("wb") as sink:
        fill(draft, b"x" * 3_000_000)
        draft.file.seek(5)
        draft.copy_to(sink)
    assert (tmp_path / "sink").stat().st_size == 3_000_000
