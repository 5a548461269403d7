"""What a guest's words mean for the user."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.workspaces.guest.failures import failure, refusal
from services.workspaces.guest.session import GuestSession
from shared.errors import Code
from tests.scripted.local_guest import LocalGuest, local_guest


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    with local_guest(tmp_path, monkeypatch) as made:
        yield made


CAUSES = {
    "tar: cannot write: No space left on device": Code.NO_SPACE,
    "fatal: write error: Disk quota exceeded": Code.NO_SPACE,
    "fatal: Unable to create '/r/.git/index.lock': File exists.": Code.BUSY,
    "error: bad object": Code.GUEST_FAILED,
    "": Code.GUEST_FAILED,
}


@pytest.mark.parametrize("words", CAUSES)
def test_words_have_a_code(guest: LocalGuest, words: str) -> None:
    argv = ["sh", "-c", 'echo "$1" >&2; exit 3', "sh", words]
    with GuestSession(guest.access, argv) as session:
        error = failure(session)
    assert error.code is CAUSES[words]
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("word", "code"),
    [("git", Code.MISSING_TOOL), ("taken", Code.CONFLICT), ("\x1b[31m", Code.CONFLICT)],
)
def test_refusals_have_one(word: str, code: Code) -> None:
    error = refusal(word, "/root/repo")
    assert error.code is code
    assert error.hint
    assert error.message.isprintable()
