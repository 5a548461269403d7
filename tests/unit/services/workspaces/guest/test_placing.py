"""Why a guest does not take a repository: each cause has its error, and nothing is left in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workspaces.guest import scripts
from services.workspaces.jobs.prepare import run
from shared.errors import BangerError, Code
from tests.repositories.making import ordinary, write
from tests.repositories.tracked import files_below, tracked_files
from tests.scripted.local_guest import DASH, LocalGuest, local_guest


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch, DASH) as made:
        yield made


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = ordinary(tmp_path / "host")
    write(made, "README", "edited\n")
    return made


def refused(guest: LocalGuest, top: Path) -> BangerError:
    with pytest.raises(BangerError) as caught:
        run(guest.request(top), guest.context())
    return caught.value


def with_tools(guest: LocalGuest, directory: Path, **scripts: str) -> None:
    """PATH of the guest: these scripts, and of the other tools what is needed."""
    tools = directory / "tools"
    tools.mkdir()
    for name in "sh tar mkdir rm mv cp dd sync rmdir git cat grep".split():
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, script in scripts.items():
        (tools / name).unlink()
        if script:
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)
    guest.machine.environment["PATH"] = str(tools)


def test_a_guest_without_git(guest: LocalGuest, top: Path, tmp_path: Path) -> None:
    with_tools(guest, tmp_path, git="")
    error = refused(guest, top)
    assert (error.code, error.message) == (Code.MISSING_TOOL, "there is no git in the guest")
    assert list(guest.root.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "directory", "hidden", "link", "dangling"])
def test_a_path_that_is_taken(guest: LocalGuest, top: Path, what: str) -> None:
    path = guest.path()
    if what == "file":
        path.write_text("x")
    elif what in ("directory", "hidden"):
        write(path, "..x" if what == "hidden" else "x")
    else:
        path.symlink_to(guest.home if what == "link" else "nowhere")
    assert refused(guest, top).code is Code.CONFLICT
    assert [each.name for each in guest.root.iterdir()] == ["repo"]


def test_an_empty_directory_is_used(guest: LocalGuest, top: Path) -> None:
    guest.path().mkdir()
    run(guest.request(top), guest.context())
    assert files_below(guest.path()) == tracked_files(top)


@pytest.mark.parametrize("name", ["a/b/c d", "it's*[x]?", "-dash", "é\t"])
def test_a_path_with_parents_and_an_odd_name(guest: LocalGuest, top: Path, name: str) -> None:
    if "\t" in name:
        assert_invalid = pytest.raises(BangerError, match="guest path")
        with assert_invalid:
            run(guest.request(top, name), guest.context())
        return
    run(guest.request(top, name), guest.context())
    assert files_below(guest.path(name)) == tracked_files(top)
    write(top, "README", "edited again\n")
    run(guest.request(top, name), guest.context())
    assert files_below(guest.path(name)) == tracked_files(top)


@pytest.mark.parametrize("tool", ["tar", "git"])
def test_a_disk_that_is_full(guest: LocalGuest, top: Path, tmp_path: Path, tool: str) -> None:
    full = f"echo '{tool}: write error: No space left on device' >&2; exit 1"
    with_tools(guest, tmp_path, **{tool: full})
    error = refused(guest, top)
    assert (error.code, error.message) == (Code.NO_SPACE, "the guest's disk is full")
    assert list(guest.root.iterdir()) == []


def test_a_tool_that_fails_is_quoted(guest: LocalGuest, top: Path, tmp_path: Path) -> None:
    with_tools(guest, tmp_path, tar="printf 'tar: \\033[31mbroken\\n' >&2; exit 1")
    error = refused(guest, top)
    assert error.code is Code.GUEST_FAILED
    assert "\N{REPLACEMENT CHARACTER}[31mbroken" in error.message


@pytest.mark.parametrize(
    "script",
    [
        "echo nonsense",
        "echo ready; echo placed -",
        "echo ready; yes 'stage x'",
        "echo ready; echo staged",
        "echo ready; echo staged; cat >/dev/null; echo staged",
        "echo ready; echo staged; cat >/dev/null; echo placed nonsense",
        "echo ready; echo staged; cat >/dev/null; yes 'stage x'",
        "echo ready; echo staged; cat >/dev/null; head -c 100000 /dev/zero",
        "exit 0",
        "yes ''",
        "printf 'refused \\033[31m\\n'",
    ],
)
def test_a_guest_that_says_anything_ends_the_prepare(
    guest: LocalGuest, top: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.workspaces.guest.placing.PLACE", script)
    error = refused(guest, top)
    assert error.code in (Code.GUEST_FAILED, Code.CONFLICT)
    assert error.message.isprintable()
    assert script != scripts.PLACE


def test_leftovers_are_removed_and_what_is_like_them_stays(guest: LocalGuest, top: Path) -> None:
    write(guest.root, ".repo.banger-0123/x/y")
    write(guest.root, ".repo.banger-4567.old/x")
    write(guest.root, ".other.banger-0123/x")
    run(guest.request(top), guest.context())
    assert {each.name for each in guest.root.iterdir()} == {"repo", ".other.banger-0123"}


def test_the_users_identity_is_for_a_guest_without_one(
    guest: LocalGuest, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path, "gitconfig", '[user]\n\tname = "Ann \\"A\\""\n\temail = a@b\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    write(tmp_path, "nobody/.gitconfig", config.read_text())
    run(guest.request(top), guest.context())
    assert 'name = "Ann \\"A\\""' in (guest.home / ".gitconfig").read_text()
    (guest.home / ".gitconfig").write_text("theirs")
    run(guest.request(top, "other"), guest.context())
    assert (guest.home / ".gitconfig").read_text() == "theirs"
