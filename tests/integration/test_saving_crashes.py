"""A supervisor or an api that is killed at a step of suspend, save, restore or fork: the VM is
running or suspended whole, and nothing is left of what was broken off."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.errors import BangerError
from shared.vm import files
from tests.integration.guests import Guests, kill, new_guests
from tests.integration.peer import Silence
from tests.integration.test_saved_machines import created, has_port, hidden, state_of
from tests.waiting import eventually

SITE = Path(__file__).parent / "killing"
MOST_RENAMES = 40
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests("boot_timeout = 20.0", site=SITE, BANGER_TEST_KILL="{root}/kill") as guests:
        yield guests


def order(guests: Guests) -> Path:
    return guests.home.root / "kill"


def killed_at(guests: Guests, number: int, verb: str, **body: Any) -> bool:
    """Ask for ``verb`` while a supervisor is killed before its ``number``-th rename; False when it
    makes fewer."""
    place = order(guests)
    draft = place.with_suffix(".draft")
    draft.write_text(f"vm_supervisor {number}\n")
    draft.replace(place)
    with suppress(BangerError, Silence):
        guests.call(verb, **body)
    was_killed = not place.exists()
    place.unlink(missing_ok=True)
    return was_killed


def check_whole(guests: Guests, name: str, boot_id: str, port: int) -> None:
    """The guest is the one that it was, once; a suspended one is resumed first, also one whose
    supervisor goes on with what a service that was killed had asked for."""
    eventually(lambda: runs(guests, name) and has_port(guests, name, port))
    shown = guests.show(name)
    assert shown["boot_id"] == boot_id
    assert guests.vmms(name) == [shown["pid"]]
    directory = state_of(guests, name)
    for left in (files.SUSPENDED, files.RESTORING):
        assert not (directory / left).exists()


def runs(guests: Guests, name: str) -> bool:
    state = guests.state(name)
    if state == "suspended":
        with suppress(BangerError, Silence):
            guests.call("vm.start", ref=name)
    return state == "running"


def check_swept(guests: Guests, name: str) -> None:
    """Nothing is left once another supervisor has been there."""
    kill(old := eventually(lambda: guests.supervisor(name)))
    eventually(lambda: (pid := guests.supervisor(name)) != old and pid)
    assert hidden(guests) == []


@pytest.mark.parametrize("verb", ["vm.suspend", "snapshot.create", "snapshot.restore"])
def test_a_supervisor_may_be_killed_before_any_rename(guests: Guests, verb: str) -> None:
    before = created(guests, "web", 4000)
    body: dict[str, Any] = {"ref": "web"}
    if verb == "snapshot.restore":
        guests.call("snapshot.create", ref="web", name="one")
        body |= {"name": "one", "force": True}
    for number in range(1, MOST_RENAMES):
        if verb == "snapshot.create":
            body["name"] = f"s{number}"
        was_killed = killed_at(guests, number, verb, **body)
        check_whole(guests, "web", before["boot_id"], 4000)
        if not was_killed:
            break
    assert number > 1, "no rename was counted"
    check_swept(guests, "web")
    for snapshot in guests.call("snapshot.list")["snapshots"]:
        assert snapshot["problems"] == []
    guests.call("vm.delete", ref="web")


def test_a_supervisor_of_a_fork_may_be_killed_before_a_rename(guests: Guests) -> None:
    """All forks are there, or none; and the VM that they were to be made of goes on."""
    before = created(guests, "web", 4000)
    for number in range(1, MOST_RENAMES, 4):
        was_killed = killed_at(guests, number, "vm.fork", ref="web", name="copy", count=2)
        names = {view["vm"]["name"] for view in guests.call("vm.list")["vms"]}
        assert names in ({"web"}, {"web", "copy-1", "copy-2"})
        check_whole(guests, "web", before["boot_id"], 4000)
        for name in sorted(names - {"web"}):
            boot_id = guests.show(name)["boot_id"]
            assert boot_id != before["boot_id"]
            check_whole(guests, name, boot_id, 4000)
            guests.call("vm.delete", ref=name)
        assert not any((state_of(guests, "web") / files.FORKS).glob("[!.]*"))
        if not was_killed:
            break
    assert number > 1, "no rename was counted"
    check_swept(guests, "web")
    guests.call("vm.delete", ref="web")


@pytest.mark.parametrize(
    ("verb", "service"),
    [
        ("vm.suspend", "broker"),
        ("snapshot.restore", "api"),
        ("snapshot.restore", "store"),
        ("vm.fork", "api"),
        ("vm.fork", "broker"),
    ],
)
def test_a_service_may_be_killed_meanwhile(guests: Guests, verb: str, service: str) -> None:
    before = created(guests, "web", 4000)
    body: dict[str, Any] = {"ref": "web"}
    if verb == "snapshot.restore":
        guests.call("snapshot.create", ref="web", name="one")
        body |= {"name": "one", "force": True}
    with guests.peer() as peer:
        asked = peer.ask("api", verb, body, seconds=20)
        eventually(lambda: peer.receive()[0].request_id == asked)  # its first progress
        kill(guests.stack.pid(service))
    eventually(lambda: guests.state("web") not in ("?", "starting", "stopping"))
    eventually(lambda: settled(guests))
    check_whole(guests, "web", before["boot_id"], 4000)
    for view in guests.call("vm.list")["vms"]:
        vm = view["vm"]
        assert vm["name"] == "web" or (state_of(guests, vm["name"]) / files.OVERLAY).exists()
    eventually(lambda: not any((state_of(guests, "web") / files.FORKS).glob("[!.]*")))
    check_swept(guests, "web")
    guests.delete_all()


def settled(guests: Guests) -> bool:
    """Whether nothing is on its way: operations have ended, and supervisors that nobody asked."""
    try:
        operations = guests.call("ops.list")["operations"]
        states = {view["vm"]["state"] for view in guests.call("vm.list")["vms"]}
    except (BangerError, Silence):
        return False
    return not states & {"starting", "stopping"} and all(
        each["state"] != "running" for each in operations
    )
