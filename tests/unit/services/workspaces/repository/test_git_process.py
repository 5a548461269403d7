"""git as a child: its environment, its output, its failures and its limit."""

import os
from pathlib import Path

import pytest

from services.workspaces.repository.git_process import (
    GitProcess,
    GitResult,
    clean_environment,
    git_error,
    git_program,
)
from shared.errors import BangerError, Code


def test_the_environment_steers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")
    monkeypatch.setenv("LC_MESSAGES", "de_DE.UTF-8")
    made = clean_environment({"GIT_INDEX_FILE": "/mine"})
    assert not {"GIT_DIR", "GIT_SSH_COMMAND", "LC_MESSAGES"} & set(made)
    assert made["GIT_INDEX_FILE"] == "/mine"
    assert made["LC_ALL"] == "C"


def test_a_host_without_git_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BangerError) as raised:
        git_program()
    assert raised.value.code is Code.MISSING_TOOL


def test_input_may_be_bytes_or_a_descriptor(tmp_path: Path) -> None:
    git = GitProcess(tmp_path, clean_environment())
    expected = b"19102815663d23f8b75a47e7a01965dcdc96468c\n"
    assert git.run("hash-object", "--stdin", stdin=b"foo") == expected
    (tmp_path / "file").write_bytes(b"foo")
    with (tmp_path / "file").open("rb") as opened:
        assert git.run("hash-object", "--stdin", stdin=opened.fileno()) == expected


def test_a_failure_is_told_in_gits_words(tmp_path: Path) -> None:
    git = GitProcess(tmp_path, clean_environment())
    with pytest.raises(BangerError, match=r"git cat-file failed in .*: .*not a git repository"):
        git.run("cat-file", "-p", "HEAD")
    assert git.attempt("cat-file", "-p", "HEAD").status == 128


def test_a_git_that_waits_is_ended(tmp_path: Path) -> None:
    git = GitProcess(tmp_path, clean_environment())
    reading, writing = os.pipe()
    with pytest.raises(BangerError) as raised:
        git.run("hash-object", "--stdin", stdin=reading, limit_seconds=0.2)
    assert raised.value.code is Code.TIMEOUT
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        (b"fatal: write error: No space left on device", Code.NO_SPACE),
        (b"fatal: unable to read 1234", Code.INVALID),
        (b"fatal: what \x1b[31m", Code.INVALID),
    ],
)
def test_the_cause_decides_the_code(stderr: bytes, code: Code) -> None:
    error = git_error(GitResult(128, b"", stderr), "pack-objects", Path("/repository"))
    assert error.code is code
    assert error.message.isprintable()
