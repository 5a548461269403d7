"""A wake is said once, on stderr."""

import pytest

from cli.client.first_words import FirstWords


def test_the_first_partial_is_said_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    say = FirstWords()
    for stage in ("resume", "disks", "boot"):
        say({"stage": stage, "message": "web was asleep", "fraction": None})
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "resume: web was asleep\n")
