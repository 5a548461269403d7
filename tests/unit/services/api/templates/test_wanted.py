"""What has been asked for is known to the next api, for a week."""

import time
from pathlib import Path

import pytest

from services.api.templates.wanted import MOST_WANTED, WANTED_SECONDS, WantedTemplates
from tests.example import example_vm
from tests.unit.services.api.templates.facts import FACTS


def test_the_latest_is_first_and_the_next_api_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "templates/wanted.json"
    known = WantedTemplates(path)
    for key in ("one", "two", "one"):
        known.note(key, FACTS, example_vm())
    assert [each.key for each in known.still()] == ["one", "two"]
    known.save()
    assert [each.key for each in WantedTemplates(path).still()] == ["one", "two"]
    known.drop("one")
    assert [each.key for each in known.still()] == ["two"]


def test_only_so_many_are_kept_and_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1e9
    monkeypatch.setattr(time, "time", lambda: now)
    known = WantedTemplates(tmp_path / "wanted.json")
    for number in range(MOST_WANTED + 1):
        known.note(str(number), FACTS, example_vm())
    assert len(known.still()) == MOST_WANTED
    now += WANTED_SECONDS + 1
    assert known.still() == []


def test_a_file_that_is_damaged_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "wanted.json"
    path.write_text("[{")
    assert WantedTemplates(path).still() == []
