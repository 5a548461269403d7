"""Which files of the user's home may go into guests, and where to."""

from pathlib import Path, PurePosixPath

import pytest

from shared.file_sync import MOST_FILES, FileSync, check, guest_path, host_path, inside_home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's; a link, as on hosts whose homes were moved."""
    (tmp_path / "disk/ada").mkdir(parents=True)
    (tmp_path / "ada").symlink_to("disk/ada")
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    return tmp_path / "ada"


def test_the_tilde_is_the_home_of_either(home: Path) -> None:
    assert host_path("~/.netrc") == PurePosixPath(home / ".netrc")
    assert host_path(f"{home}/.config/x") == PurePosixPath(home / ".config/x")
    assert guest_path("~/.netrc") == PurePosixPath(".netrc")
    assert guest_path("/root/.config//./x") == PurePosixPath(".config/x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("~/../eve/x", ".. is not allowed"),
        ("~/a/../../x", ".. is not allowed"),
        ("..", ".. is not allowed"),
        ("~eve/x", "begin it with ~/"),
        ("~", "begin it with ~/"),
        ("x", "begin it with ~/"),
        ("", "begin it with ~/"),
        ("/etc/passwd", "is not in your home directory"),
        ("~/.ssh/", "no directories"),
        ("~/.", "is not in your home directory"),
        ("~/a\x00b", "no path"),
        ("~/a\x1b[2J", "no path"),
        ("~/" + "a" * 2000, "no path"),
    ],
)
def test_what_is_refused_of_the_host(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        host_path(text)


@pytest.mark.parametrize("text", ["/etc/passwd", "/root", "/root/", "/rooted/x", "/root/../etc/x"])
def test_what_is_refused_of_the_guest(text: str) -> None:
    with pytest.raises(ValueError, match=r"/root|not allowed|no directories"):
        guest_path(text)


def test_an_entry_is_named_by_its_number() -> None:
    good = FileSync(host="~/a", guest="~/a")
    with pytest.raises(ValueError, match=r"file_sync\[1\]\.guest: /etc/x is not in /root"):
        check([good, FileSync(host="~/a", guest="/etc/x")])
    with pytest.raises(ValueError, match=r"file_sync\[1\]\.guest: /root/a is there twice"):
        check([good, FileSync(host="~/b", guest="/root/a")])
    with pytest.raises(ValueError, match="100 at most"):
        check([good] * (MOST_FILES + 1))


def test_a_path_without_links_is_judged_by_the_real_home(home: Path) -> None:
    assert inside_home(PurePosixPath((home / "x").resolve()))
    assert not inside_home(PurePosixPath(home.resolve()))
    assert not inside_home(PurePosixPath("/etc/passwd"))
