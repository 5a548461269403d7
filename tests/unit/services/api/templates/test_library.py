"""Templates on the disk: published whole, used least recently goes first, damage is found."""

import os
from pathlib import Path

import pytest

from services.api.templates.library import RECORD, TemplateLibrary
from shared.errors import BangerError
from shared.logs import Log
from shared.vm import files
from tests.example import example_vm
from tests.fakes.saved import save_machine
from tests.unit.services.api.templates.facts import FACTS

LARGE = 1 << 30


@pytest.fixture
def library(tmp_path: Path) -> TemplateLibrary:
    return TemplateLibrary(tmp_path / "templates", LARGE, 0, Log(tmp_path / "log", "api"))


def make(library: TemplateLibrary, key: str = "one") -> Path:
    save_machine(library.draft(key), example_vm())
    library.publish(key, FACTS, "debian")
    return library.place(key)


def test_what_is_published_is_found_and_its_uses_are_counted(library: TemplateLibrary) -> None:
    assert (library.find("one"), library.keys()) == (None, [])
    make(library)
    found = library.find("one")
    assert found
    assert found.memory == "file"
    library.note_use("one")
    record = library.record("one")
    assert record
    assert (record.uses, record.image_name, library.keys()) == (1, "debian", ["one"])


def test_a_draft_is_none_and_is_swept(library: TemplateLibrary) -> None:
    save_machine(library.draft("one"), example_vm())
    assert (library.find("one"), library.keys()) == (None, [])
    library.sweep()
    assert list(library.directory.iterdir()) == []


def test_half_a_record_of_a_killed_process_is_swept(library: TemplateLibrary) -> None:
    place = make(library)
    before = sorted(place.iterdir())
    (place / f".{RECORD}.1.tmp").touch()
    library.sweep()
    assert sorted(place.iterdir()) == before
    assert library.find("one")


@pytest.mark.parametrize("name", [files.MEMORY, files.OVERLAY, files.SAVED, RECORD])
def test_a_damaged_one_is_removed(library: TemplateLibrary, name: str) -> None:
    path = make(library) / name
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)
    assert library.find("one") is None
    assert library.keys() == []


def test_one_that_was_only_touched_is_read_again_and_is_good(library: TemplateLibrary) -> None:
    memory = make(library) / files.MEMORY
    os.utime(memory, (1, 1))
    assert library.find("one")
    record = library.record("one")
    assert record
    assert record.stamps[files.MEMORY].modified_ns == 10**9


def test_one_that_is_too_old_is_not_used(tmp_path: Path) -> None:
    library = TemplateLibrary(tmp_path / "templates", LARGE, 60, Log(tmp_path / "log", "api"))
    make(library)
    record = library.record("one")
    assert record
    assert not library.is_too_old(record)
    record.made_at -= 61
    library._write(record)
    assert library.find("one") is None
    assert library.keys() == ["one"]  # until there is a new one


def test_those_used_least_recently_go_first(library: TemplateLibrary) -> None:
    for number, key in enumerate(("one", "two", "three")):
        os.utime(make(library, key) / RECORD, (number, number))
    os.utime(library.place("one") / RECORD, (9, 9))
    library.limit = 2 * library.real_bytes("one") + 4096
    assert library.keep_limit() == ["two"]
    library.limit = 0
    assert library.keep_limit(but="three") == ["one", "three"]


def test_without_a_limit_there_are_none(library: TemplateLibrary) -> None:
    make(library)
    library.limit = 0
    assert library.find("one") is None


def test_one_is_replaced_by_the_next_of_its_key(library: TemplateLibrary) -> None:
    make(library)
    library.note_use("one")
    make(library)
    record = library.record("one")
    assert record
    assert record.uses == 0


def test_what_is_not_saved_is_not_published(library: TemplateLibrary) -> None:
    library.draft("one")
    with pytest.raises(BangerError):
        library.publish("one", FACTS, "debian")
    assert library.keys() == []
