"""VMs that nobody uses fall asleep and wake, by real services with guests that send back what they
are sent."""

import contextlib
import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.echo import echoed
from tests.integration.guests import NOTHING, Guests, kill, new_guests
from tests.waiting import eventually

CONFIG = "idle_suspend_after = 1.0\nidle_cpu = 1000.0\nboot_timeout = 20.0\n"
PAYLOAD = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests(CONFIG) as guests:
        yield guests


def created(guests: Guests, name: str, port: int) -> tuple[str, int]:
    """A running VM that serves on ``port``; where that is."""
    guests.create(name)
    guests.type(name, f"listen {port}")
    eventually(lambda: f"tcp/{port}" in guests.show(name)["ports"])
    shown = guests.show(name)
    return shown["vm"]["address"], shown["ports"][f"tcp/{port}"]


def falls_asleep(guests: Guests, name: str) -> None:
    eventually(lambda: guests.row(name)["wakes"] and guests.state(name) == "suspended")


def test_a_connection_finds_the_guest_that_fell_asleep(guests: Guests) -> None:
    place = created(guests, "web", 4000)
    before = guests.show("web")
    falls_asleep(guests, "web")
    asleep = guests.show("web")
    assert asleep["vm"]["reason"].startswith("nobody used it for")
    assert (guests.vmms(), guests.masters(), asleep["pid"]) == ([], [], None)
    assert echoed(place, PAYLOAD) == PAYLOAD
    eventually(lambda: guests.state("web") == "running")
    after = guests.show("web")
    assert (after["boot_id"], after["ports"]) == (before["boot_id"], before["ports"])
    assert not after["vm"]["wakes"]
    assert echoed(place, PAYLOAD) == PAYLOAD
    falls_asleep(guests, "web")
    assert guests.call("vm.access", ref="web")["vm"]["state"] == "running"
    guests.call("vm.delete", ref="web")


def test_what_is_used_stays_awake_and_says_why(guests: Guests) -> None:
    place = created(guests, "web", 4000)
    guests.type("web", "awake nightly backup")
    eventually(lambda: guests.show("web")["awake"] == "nightly backup (systemd-inhibit)")
    with socket.create_connection(place):
        guests.type("web", "awake")
        eventually(lambda: guests.show("web")["awake"] == "1 connection to its ports")
    falls_asleep(guests, "web")
    guests.call("vm.delete", ref="web")


@pytest.mark.parametrize("what", ["supervisor", "all"])
def test_whoever_comes_after_a_crash_or_a_reboot_wakes_it(guests: Guests, what: str) -> None:
    place = created(guests, "web", 4000)
    falls_asleep(guests, "web")
    old = guests.supervisor("web")
    kill(old)
    if what == "all":
        shutil.rmtree(guests.home.paths.vm_run(guests.row("web")["id"]))
        kill(guests.stack.pid("api"))
    eventually(lambda: guests.state("web") == "suspended")
    eventually(lambda: guests.supervisor("web") not in (0, old))
    assert guests.row("web")["wakes"]
    eventually(lambda: _connects(place))
    eventually(lambda: guests.state("web") == "running")
    assert echoed(place, PAYLOAD) == PAYLOAD
    guests.call("vm.delete", ref="web")


def _connects(place: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError):
        return echoed(place, b"hello") == b"hello"
    return False


def test_a_sleeping_vm_is_renamed_published_put_aside_and_deleted(guests: Guests) -> None:
    place = created(guests, "web", 4000)
    falls_asleep(guests, "web")
    guests.call("vm.rename", ref="web", name="shop")
    with socket.socket() as probe:
        probe.bind((place[0], 0))
        port = probe.getsockname()[1]
    publication = {"host_address": place[0], "host_port": port, "guest_port": 4000}
    guests.call("vm.publish", ref="shop", publish=[publication])
    assert guests.row("shop")["wakes"]
    assert echoed((place[0], port), PAYLOAD) == PAYLOAD
    falls_asleep(guests, "shop")
    aside = guests.call("vm.suspend", ref="shop")
    assert (aside["vm"]["state"], aside["vm"]["wakes"]) == ("suspended", False)
    eventually(lambda: not guests.supervisor("shop"))
    assert not _connects(place)
    assert guests.call("vm.resume", ref="shop")["vm"]["state"] == "running"
    falls_asleep(guests, "shop")
    guests.call("vm.delete", ref="shop")
    assert guests.leftovers() == NOTHING
