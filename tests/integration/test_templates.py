"""Templates with scripted guests: made out of sight, used, and of no use: then the VM boots."""

from collections.abc import Iterator

import pytest

from shared.errors import BangerError
from shared.vm import files
from tests.integration.guests import Guests, kill, new_guests
from tests.integration.peer import Silence
from tests.integration.test_pool import PATIENCE, Row, api, create, rows
from tests.waiting import eventually

CONFIG = """
boot_timeout = 20.0
warm_pool = 0
templates = { limit = "1G", quiet_seconds = 0, most_pressure = 100 }
"""


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests(CONFIG) as guests:
        yield guests


@pytest.fixture
def guests(shared_guests: Guests) -> Iterator[Guests]:
    """Services without templates and without VMs."""
    shared_guests.call("template.prune", all=True)
    yield shared_guests
    shared_guests.delete_all()
    eventually(lambda: rows(shared_guests, "template") == [], patience=PATIENCE)


def made(guests: Guests) -> Row:
    """The template, when the VM that it was made of is gone."""
    found = eventually(lambda: guests.call("template.list")["templates"], patience=PATIENCE)
    eventually(lambda: rows(guests, "template") == [], patience=PATIENCE)
    assert len(found) == 1
    row: Row = found[0]
    return row


def test_the_second_vm_begins_as_a_copy_of_what_was_made_out_of_sight(guests: Guests) -> None:
    first = create(guests, "one")
    assert first["template"] == ""
    template = made(guests)
    assert [view["vm"]["name"] for view in guests.call("vm.list")["vms"]] == ["one"]
    second = create(guests, "two")
    assert (second["template"], second["state"]) == (template["key"], "running")
    assert guests.banger("vm", "exec", "two", "--", "sh", "-c", "exit 42")[0] == 42
    assert create(guests, "cold", cold=True)["template"] == ""
    uses = eventually(lambda: guests.call("template.show", ref=template["key"])["uses"])
    assert uses == 1


def test_a_damaged_one_is_removed_and_the_vm_boots(guests: Guests) -> None:
    create(guests, "one")
    key = made(guests)["key"]
    memory = guests.home.paths.templates / key / files.MEMORY
    memory.write_bytes(b"damage" + memory.read_bytes()[6:])
    row = create(guests, "two")
    assert (row["template"], row["state"]) == ("", "running")
    assert made(guests)["key"] == key  # another one, since a VM was booted


def test_an_api_that_dies_while_one_is_made_leaves_nothing_of_it(guests: Guests) -> None:
    create(guests, "one")
    keeper = eventually(lambda: rows(guests, "template"), patience=PATIENCE)[0]
    kill(api(guests))
    template = eventually(lambda: made_or_none(guests), patience=PATIENCE)
    assert template
    assert template["problems"] == []
    eventually(lambda: not guests.home.paths.vm_state(keeper["id"]).exists())


def made_or_none(guests: Guests) -> Row | None:
    try:
        return made(guests)
    except (AssertionError, BangerError, Silence):  # services are being started again
        return None
