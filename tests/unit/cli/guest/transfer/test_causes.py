"""Error numbers and a guest's words as codes."""

import errno
import os

import pytest

from cli.guest.transfer.causes import failed, guest_words, of_os_error, of_words
from shared.errors import Code

MEANINGS = [
    ("x: Cannot open: Permission denied", "EACCES", Code.DENIED),
    ("x: Cannot write: No space left on device", "ENOSPC", Code.NO_SPACE),
    ("x: Cannot open: File name too long", "ENAMETOOLONG", Code.INVALID),
    ("x: Cannot open: Is a directory", "EISDIR", Code.CONFLICT),
    ("cannot access 'x': No such file or directory", "ENOENT", Code.NOT_FOUND),
    ("x: Read-only file system", "EROFS", Code.DENIED),
    ("x: Cannot write: Disk quota exceeded", "EDQUOT", Code.NO_SPACE),
]


@pytest.mark.parametrize(("words", "name", "code"), MEANINGS)
def test_a_guests_words_have_a_code(words: str, name: str, code: Code) -> None:
    assert of_words(["something else", words]) == name
    error = guest_words([words])
    assert (error.code, error.details) == (code, {"errno": name})
    assert error.message == words


def test_other_words_are_shown_as_they_are() -> None:
    assert guest_words(["bad luck"]).code == Code.GUEST_FAILED
    assert guest_words([]).message
    assert guest_words(["sh: 1: exec: tar: not found"]).code == Code.MISSING_TOOL


def test_a_system_call_of_this_host_has_a_code() -> None:
    error = of_os_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "there")
    assert (error.code, error.message) == (Code.NO_SPACE, "there: no space left on device")
    assert of_os_error(OSError("odd"), "there").code == Code.INVALID


def test_a_rule_that_refuses_speaks_as_a_system_call() -> None:
    assert failed("EISDIR", "x").message == "x: is a directory"
    assert failed("EEXIST", "x", "is odd").message == "x is odd"
