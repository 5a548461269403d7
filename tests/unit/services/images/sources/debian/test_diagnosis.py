import pytest

from services.images.sources.debian.diagnosis import diagnose
from shared.errors import Code


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("tar: ./usr/bin/git: Cannot write: No space left on device", Code.NO_SPACE, "df -h"),
        ("cannot write: Disk quota exceeded", Code.NO_SPACE, "quota"),
        ("Err:1 x InRelease: ... NO_PUBKEY 6ED0E7B82643E131", Code.MISSING_TOOL, "keyring"),
        ("W: Failed to fetch x: Temporary failure resolving 'x'", Code.UNREACHABLE, "network"),
        ("W: no entry in /etc/subuid for ann", Code.DENIED, "usermod --add-subuids"),
        ("E: unshare() failed: CLONE_NEWUSER", Code.DENIED, "user"),
        ("E: Unable to locate package linux-image", Code.NOT_FOUND, "mirror"),
    ],
)
def test_a_known_cause_gets_its_code_and_what_to_do(line: str, code: Code, hint: str) -> None:
    error = diagnose("image x", "mmdebstrap", 25, ["I: start", line, "E: mmdebstrap failed to run"])
    assert error.code is code
    assert hint in error.hint
    assert error.message.startswith("cannot make image x: ")


def test_an_unknown_cause_quotes_the_first_complaint_not_its_consequences() -> None:
    lines = ["I: going on", "E: hook failed: 3", "I: removing tempdir", "E: mmdebstrap failed"]
    error = diagnose("image x", "mmdebstrap", 25, lines)
    assert error.code is Code.INTERNAL
    assert error.message == "cannot make image x: mmdebstrap failed: E: hook failed: 3"
    assert error.details["output"] == lines


def test_a_silent_failure_is_told_by_its_status() -> None:
    assert "sqfstar failed: status -9" in diagnose("image x", "sqfstar", -9, []).message


def test_endless_lines_are_cut() -> None:
    error = diagnose("image x", "mmdebstrap", 1, ["E: " + "package " * 1000])
    assert len(error.message) < 300
    assert all(len(line) < 300 for line in error.details["output"])


@pytest.mark.parametrize(
    "line",
    [
        "E: Unable to locate package pyhton3",
        "E: Package 'pyhton3' has no installation candidate",
        "dpkg-query: no packages found matching pyhton3",
    ],
)
def test_a_package_that_the_mirror_does_not_have_is_named(line: str) -> None:
    error = diagnose("image x", "mmdebstrap", 25, ["I: start", line, "E: mmdebstrap failed to run"])
    assert error.message == "cannot make image x: the mirror has no package pyhton3"
