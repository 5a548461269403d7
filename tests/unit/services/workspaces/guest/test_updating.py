"""What a guest says while it is brought up to date, and submodules that come and go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workspaces.jobs.prepare import run
from shared.errors import BangerError, Code
from tests.repositories.making import commit, git, ordinary, write
from tests.repositories.nasty import lfs, submodule_clean, submodule_nested
from tests.repositories.tracked import files_below, tracked_files
from tests.scripted.local_guest import LocalGuest, local_guest


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch) as made:
        yield made


STATE = "state {0} {0} {0} - refs/heads/main".format("a" * 40)


@pytest.mark.parametrize(
    "script",
    [
        "echo nonsense",
        "exit 1",
        "echo state a b c",
        f"echo '{STATE}' more",
        "printf 'state a b c d \\033[31m\\n'",
        f"echo '{STATE}'; read -r x; exec yes ''",
        f"echo '{STATE}'; read -r x; head -c 100000 /dev/zero",
        f"echo '{STATE}'; read -r x; while printf ':1 2 3 4 M\\000x\\000'; do :; done",
        f"echo '{STATE}'; read -r x; printf '.\\000'; cat >/dev/null; echo placed x",
    ],
)
def test_a_guest_that_says_anything_ends_the_update(
    guest: LocalGuest, tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = ordinary(tmp_path / "host")
    run(guest.request(top), guest.context())
    write(top, "README", "edited\n")
    monkeypatch.setattr("services.workspaces.guest.updating.UPDATE", script)
    with pytest.raises(BangerError) as caught:
        run(guest.request(top), guest.context())
    assert caught.value.code in (Code.GUEST_FAILED, Code.CONFLICT)
    assert caught.value.message.isprintable()


def test_a_directory_of_the_guest_in_the_way_is_a_conflict(
    guest: LocalGuest, tmp_path: Path
) -> None:
    top = ordinary(tmp_path / "host")
    run(guest.request(top), guest.context())
    (guest.path() / "README").unlink()
    write(guest.path(), "README/inside", "guest")
    write(top, "README", "host\n")
    with pytest.raises(BangerError, match="README") as caught:
        run(guest.request(top), guest.context())
    assert caught.value.code is Code.CONFLICT
    assert (guest.path() / "README/inside").read_text() == "guest"


def test_nothing_is_written_through_a_link_of_the_guest(guest: LocalGuest, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "host")
    run(guest.request(top), guest.context())
    (guest.path() / "src").rename(guest.root / "outside")
    (guest.path() / "src").symlink_to(guest.root / "outside")
    write(top, "src/main.py", "host\n", 0o755)
    with pytest.raises(BangerError) as caught:
        run(guest.request(top), guest.context())
    assert caught.value.code is Code.CONFLICT
    assert (guest.root / "outside/main.py").read_text() == "print(1)\n"


def test_a_git_at_work_in_the_guest_is_busy(guest: LocalGuest, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "host")
    run(guest.request(top), guest.context())
    (guest.path() / ".git/index.lock").touch()
    write(top, "README", "edited\n")
    commit(top)
    with pytest.raises(BangerError) as caught:
        run(guest.request(top), guest.context())
    assert caught.value.code is Code.BUSY
    (guest.path() / ".git/index.lock").unlink()
    run(guest.request(top), guest.context())
    assert files_below(guest.path()) == tracked_files(top)


def test_a_submodule_that_is_new_and_one_that_is_gone(guest: LocalGuest, tmp_path: Path) -> None:
    top = submodule_clean(tmp_path / "host")
    run(guest.request(top), guest.context())
    other = ordinary(tmp_path / "other")
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "a/new")
    commit(top)
    run(guest.request(top), guest.context())
    assert files_below(guest.path()) == tracked_files(top)
    assert git(guest.path(), "status", "--porcelain") == b""
    git(top, "rm", "-q", "a/new")
    commit(top)
    run(guest.request(top), guest.context())
    assert git(guest.path(), "diff", "--stat", "HEAD", "refs/banger/prepared") == b""


def test_files_of_nested_submodules(guest: LocalGuest, tmp_path: Path) -> None:
    top = submodule_nested(tmp_path / "host")
    run(guest.request(top), guest.context())
    inner = max((path.parent for path in top.rglob(".git") if path.parent != top), key=str)
    write(inner, "new", "x")
    git(inner, "add", "new")
    run(guest.request(top), guest.context())
    assert files_below(guest.path()) == tracked_files(top)
    write(guest.path() / inner.relative_to(top), "new", "guest")
    write(inner, "new", "host")
    with pytest.raises(BangerError) as caught:
        run(guest.request(top), guest.context())
    assert caught.value.details["paths"] == ["new"]


def test_a_file_of_lfs_is_no_change_of_the_guests(guest: LocalGuest, tmp_path: Path) -> None:
    top = lfs(tmp_path / "host")
    run(guest.request(top), guest.context())
    unconverted = (guest.path() / ".git/banger/unconverted").read_bytes()
    facts, path, _ = unconverted.split(b"\0", 2)
    pointer, mode, raw = facts.split(b" ")
    name = path.decode()
    assert mode == b"100644"
    assert git(guest.path(), "rev-parse", f"refs/banger/prepared:{name}").strip() == pointer
    assert git(guest.path(), "hash-object", "--no-filters", name).strip() == raw
    write(top, name, b"other bytes of it")
    run(guest.request(top), guest.context())
    assert files_below(guest.path()) == tracked_files(top)
