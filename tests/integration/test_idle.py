"""VMs that nobody uses are stopped, those in use are not."""

import socket
from collections.abc import Iterator

import pytest

from shared.host.locks import Lock
from shared.vm import files
from tests.integration.guests import Guests, new_guests
from tests.waiting import eventually

LONG_AGO, FAR_AHEAD = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests("auto_stop_stale_after = 8.0") as guests:
        yield guests


def touch(guests: Guests, name: str, at: str) -> None:
    vm_id = guests.row(name)["id"]
    with guests.peer() as peer:
        peer.call("store", "vm.touch", id=vm_id, at=at)


def test_connection_past_the_ssh_master_and_an_open_console_are_use(guests: Guests) -> None:
    for name in ("entered", "watched", "idle"):  # in the order in which they would be stopped
        guests.create(name)
        touch(guests, name, FAR_AHEAD)
    access = guests.show("entered")["access"]
    console = guests.home.paths.vm_run(guests.row("watched")["id"]) / files.CONSOLE_LOCK
    lock = Lock.try_acquire(console)
    assert lock
    with socket.create_connection((access["host"], access["port"])):
        for name in ("entered", "watched", "idle"):
            touch(guests, name, LONG_AGO)
        eventually(lambda: guests.state("idle") == "stopped")
        eventually(lambda: guests.row("entered")["touched_at"] > LONG_AGO)
        assert [guests.state(name) for name in ("entered", "watched")] == ["running"] * 2
    lock.release()
    left = ("entered", "watched")
    eventually(lambda: all(guests.state(name) == "stopped" for name in left), patience=30)
    guests.delete_all()


@pytest.mark.parametrize("words", [("pause", "resume"), ("restart",)])
def test_resumed_and_restarted_vms_are_used(guests: Guests, words: tuple[str, ...]) -> None:
    guests.create("web")
    eventually(lambda: guests.row("web")["touched_at"])
    touch(guests, "web", FAR_AHEAD)
    for word in words:
        guests.call(f"vm.{word}", ref="web")
    eventually(lambda: guests.row("web")["touched_at"] != FAR_AHEAD)
    guests.call("vm.delete", ref="web")
