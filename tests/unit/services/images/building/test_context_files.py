import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.images.building.context_files import BuildContext, contents, digest_of
from shared.errors import BangerError, Code


@pytest.fixture
def top(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "site/deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.log", "site/index.html", "site/deep/x"):
        (directory / name).write_text(name)
    (directory / "site/link").symlink_to("index.html")
    (tmp_path / "secret").write_text("no")
    return directory


def names(top: Path, *sources: str, destination: str = "/d/") -> list[str]:
    return [each.name for each in BuildContext(top).copied(sources, destination).files]


def test_a_directory_gives_its_content(top: Path) -> None:
    assert names(top, "site") == ["deep", "index.html", "link", "deep/x"]


def test_patterns_and_files_give_files_under_their_names(top: Path) -> None:
    assert names(top, "*.txt", "site/index.html") == ["a.txt", "b.txt", "index.html"]


def test_the_whole_context_can_be_copied(top: Path) -> None:
    assert "site/deep/x" in names(top, ".")
    assert names(top, "/a.txt") == ["a.txt"]


@pytest.mark.parametrize(
    ("sources", "destination", "into"),
    [
        (["a.txt"], "/x", False),
        (["a.txt"], "/x/", True),
        (["site"], "/x", True),
        (["*.txt"], "/x", True),
        (["c.*"], "/x", False),
    ],
)
def test_one_file_may_get_the_name_of_the_destination(
    top: Path, sources: list[str], destination: str, into: bool
) -> None:
    assert BuildContext(top).copied(sources, destination).into_directory is into


@pytest.mark.parametrize("source", ["../secret", "site/../../secret", "out", "out-directory"])
def test_nothing_outside_is_copied(top: Path, source: str) -> None:
    (top / "out").symlink_to("../secret")
    (top / "out-directory").symlink_to("..")
    with pytest.raises(BangerError, match="outside of the directory") as caught:
        names(top, source)
    assert caught.value.code is Code.DENIED


def test_a_link_in_a_directory_is_copied_as_one(top: Path) -> None:
    (top / "site/out").symlink_to("../../secret")
    (out,) = (each for each in BuildContext(top).copied(["site"], "/").files if each.name == "out")
    assert not out.is_file


def test_a_link_as_a_source_is_what_it_leads_to(top: Path) -> None:
    assert names(top, "site/link") == ["index.html"]


@pytest.mark.parametrize("source", ["missing", "*.missing", "loop"])
def test_a_source_that_is_not_there_is_told(top: Path, source: str) -> None:
    (top / "loop").symlink_to("loop")
    with pytest.raises(BangerError) as caught:
        names(top, source)
    assert caught.value.code is Code.NOT_FOUND


def test_pipes_and_sockets_are_left_out(top: Path) -> None:
    os.mkfifo(top / "site/pipe")
    assert "pipe" not in names(top, "site")


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("*.log", ["a.txt", "b.txt", "site", "site/deep", "site/index.html", "site/link"]),
        ("*\n!site", ["site", "site/deep", "site/index.html", "site/link", "site/deep/x"]),
        ("# words\n\n/site/\n[ab].txt", ["c.log"]),
        ("**/index.html\nsite/d??p\n*.t*t", ["c.log", "site", "site/link"]),
    ],
)
def test_dockerignore(top: Path, lines: str, left: list[str]) -> None:
    (top / ".dockerignore").write_text(f"{lines}\n.dockerignore\n")
    found = names(top, ".")
    assert set(left) <= set(found)
    assert not {"c.log", "site/index.html"} - set(left) & set(found)
    assert sorted(found) == sorted(set(found) & ({*left, "site/deep/x"}))


def test_a_file_that_is_ignored_cannot_be_copied_by_its_name(top: Path) -> None:
    (top / ".dockerignore").write_text("a.txt")
    with pytest.raises(BangerError, match=r"there is no a\.txt"):
        names(top, "a.txt")


def test_the_digest_is_of_names_modes_and_contents(top: Path) -> None:
    def digest() -> str:
        return digest_of(BuildContext(top).copied(["."], "/").files)

    seen = {first := digest()}
    os.utime(top / "a.txt", (1, 1))
    assert digest() == first

    def relink() -> None:
        (top / "site/link").unlink()
        (top / "site/link").symlink_to("x")

    changes: list[Callable[[], object]] = [
        lambda: (top / "a.txt").write_text("A.txt"),
        lambda: (top / "a.txt").chmod(0o755),
        lambda: (top / "a.txt").rename(top / "z.txt"),
        (top / "new").mkdir,
        relink,
    ]
    for change in changes:
        change()
        assert digest() not in seen
        seen.add(digest())


def test_a_file_that_changes_while_it_is_read_is_told(top: Path) -> None:
    (file,) = BuildContext(top).copied(["a.txt"], "/").files
    (top / "a.txt").write_text("more than before")
    with pytest.raises(BangerError, match="changed while it was read") as caught:
        list(contents(file))
    assert caught.value.code is Code.CONFLICT


def test_a_context_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="there is no directory"):
        BuildContext(tmp_path / "missing")
