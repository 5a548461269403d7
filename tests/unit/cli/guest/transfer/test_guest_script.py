"""What a guest says is at a destination."""

from pathlib import Path
from subprocess import run

import pytest

from cli.guest.transfer.guest_script import receive_argv, send_argv, target_of
from cli.guest.transfer.plan import TargetKind
from shared.errors import BangerError


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_guest_tells_what_is_there(tmp_path: Path, shell: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/one thing").write_text("")
    (tmp_path / "d/two").symlink_to("/")
    (tmp_path / "f").write_text("")
    (tmp_path / "lost").symlink_to("none")
    names = ["one thing", "two", "three"]

    def told(path: str) -> tuple[TargetKind, TargetKind, list[TargetKind]]:
        argv = [shell, *receive_argv(path, names, space=True)[1:]]
        done = run(argv, input=b"", capture_output=True, check=True, cwd=tmp_path)
        target, free = target_of(done.stdout, path, names)
        assert free or target.parent is not TargetKind.DIRECTORY
        return target.kind, target.parent, list(target.inside.values())

    directory, file, absent = TargetKind.DIRECTORY, TargetKind.FILE, TargetKind.ABSENT
    for path in ("d", "d/", f"{tmp_path}/d", "d/."):
        assert told(path) == (directory, directory, [file, file, absent])
    assert told("f")[:2] == (file, directory)
    assert told("f/x")[:2] == (absent, file)
    assert told("none/x")[:2] == (absent, absent)
    assert told("lost")[0] == TargetKind.DANGLING
    assert told("/dev/null")[:2] == (TargetKind.SPECIAL, directory)
    assert told("/")[:2] == (directory, directory)
    assert told("")[0] == directory


@pytest.mark.parametrize("line", [b"", b"dir", b"dir dir x y", b"\xff\0 a b", b"Welcome to web!"])
def test_other_words_are_no_answer(line: bytes) -> None:
    with pytest.raises(BangerError):
        target_of(line, "x", [])


def test_a_free_space_that_is_no_number_is_unknown() -> None:
    assert target_of(b"dir dir -", "x", [])[1] is None
    assert target_of(b"dir dir " + b"9" * 400, "x", [])[1] is None
    assert target_of(b"dir dir 5", "x", [])[1] == 5120


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_names_may_hold_anything(tmp_path: Path, shell: str) -> None:
    names = ["-C", "a'b\"c $x `y`", "new\nline", "*"]
    for name in names:
        (tmp_path / name).write_text("")
    argv = [shell, *send_argv(names, follow=False, raw=False, glob=False)[1:]]
    done = run(argv, capture_output=True, check=True, cwd=tmp_path)
    assert done.stderr == b""
    for name in names:
        assert done.stdout.count(b"file\0" + name.encode() + b"\0") == 1
    assert done.stdout.rstrip(b"\0").endswith(b"done")
