"""The warm pool with scripted guests: who gets its VMs, and what any death leaves of them."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.errors import BangerError
from shared.host.kernel_text import process_fields
from shared.vm.handle import Handle, read_handle
from tests.integration.guests import SIZES, SMALL, Guests, finals, kill, new_guests
from tests.integration.peer import Silence
from tests.waiting import eventually

CONFIG = """
boot_timeout = 20.0
warm_pool = 1
templates = { limit = "1G", quiet_seconds = 0, most_pressure = 100 }
"""
PATIENCE = 60.0
Row = dict[str, Any]


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    """The kind of VM is known that is to wait. The end of the services leaves none that nobody has
    made."""
    with new_guests(CONFIG) as guests:
        guests.call("vm.create", **SMALL, name="first")
        guests.call("vm.delete", ref="first")
        yield guests
        waits(guests)
        guests.stack.stop()
        eventually(lambda: guests.workers() == [])
        assert guests.files() == []


@pytest.fixture
def guests(shared_guests: Guests) -> Iterator[Guests]:
    yield shared_guests
    eventually(lambda: _api_or_none(shared_guests))
    shared_guests.delete_all()
    assert rows(shared_guests, "") == []


def rows(guests: Guests, keeper: str) -> list[Row]:
    with guests.peer() as peer:
        found = peer.call("store", "vm.list")["vms"]
    return [row for row in found if row["keeper"] == keeper]


def waits(guests: Guests) -> Row:
    """The one VM that waits in the pool, as soon as it is alone: none is being made or ended, and
    the api has it, which hears of it after the store."""

    def alone() -> Row:
        try:
            kept = [*rows(guests, "pool"), *rows(guests, "template")]
            known = sum(each["pool"] for each in guests.call("template.list")["templates"])
        except (BangerError, Silence):  # services are being started again
            return {}
        ready = len(kept) == 1 and kept[0]["keeper"] == "pool" and kept[0]["state"] == "paused"
        return kept[0] if ready and known == 1 else {}

    return eventually(alone, patience=PATIENCE)


def handle_of(guests: Guests, vm_id: str) -> Handle:
    handle = read_handle(guests.home.paths.vm_run(vm_id))
    assert handle
    return handle


def create(guests: Guests, name: str, **body: Any) -> Row:
    row: Row = guests.create(name, **body)["vm"]
    return row


def is_from(row: Row, vm: Row) -> bool:
    return (row["id"], row["from_pool"]) == (vm["id"], True)


def test_a_vm_waits_out_of_sight_and_is_whose_it_becomes(guests: Guests) -> None:
    vm = waits(guests)
    handle = handle_of(guests, vm["id"])
    assert handle.halted
    assert process_fields(handle.halted.pid)[0] == "T"
    assert guests.call("vm.list")["vms"] == []
    with pytest.raises(BangerError, match="there is no VM"):
        guests.show(vm["name"])

    row = create(guests, "web", labels={"a": "b"}, publish=[])
    assert is_from(row, vm)
    assert (row["name"], row["state"], row["labels"]) == ("web", "running", {"a": "b"})
    assert not handle_of(guests, vm["id"]).waits
    assert guests.banger("vm", "exec", "web", "--", "sh", "-c", "exit 42")[0] == 42
    assert guests.show("web")["access"]["port"]
    waits(guests)  # another one


def test_a_command_runs_in_it_and_leaves_nothing(guests: Guests) -> None:
    vm = waits(guests)
    status, out, err = guests.banger("vm", "run", "--rm", *SIZES, "--", "echo", "hello")
    assert (status, out) == (0, "hello\n"), err
    assert "taking a VM that is ready" in err
    assert waits(guests)["id"] != vm["id"]
    assert not guests.home.paths.vm_state(vm["id"]).exists()
    eventually(lambda: len(guests.masters()) == 1)


def test_creates_at_once_share_what_there_is(guests: Guests) -> None:
    vm = waits(guests)
    with guests.peer() as peer:
        asked = [
            peer.ask("api", "vm.create", {"name": f"web-{number}", **SMALL}, seconds=PATIENCE)
            for number in range(4)
        ]
        made = finals(peer, asked)
    found = [each["vm"] for each in made.values() if not isinstance(each, BangerError)]
    assert len(found) == 4
    assert [row["id"] for row in found].count(vm["id"]) == 1
    assert sum(row["from_pool"] for row in found) == 1
    assert {row["state"] for row in found} == {"running"}


def test_other_sizes_and_a_cold_one_leave_it_alone(guests: Guests) -> None:
    vm = waits(guests)
    cold = create(guests, "cold", cold=True)
    assert (cold["from_pool"], cold["template"]) == (False, "")
    assert waits(guests)["id"] == vm["id"]


def test_one_that_cannot_be_handed_over_costs_time_only(guests: Guests) -> None:
    vm = waits(guests)
    row = create(guests, "unwilling")
    assert (row["name"], row["state"], row["from_pool"]) == ("unwilling", "running", False)
    assert row["template"] == vm["template"]  # the next way
    assert not guests.home.paths.vm_state(vm["id"]).exists()


def test_a_supervisor_that_is_killed_has_a_successor_that_waits_too(guests: Guests) -> None:
    vm = waits(guests)
    handle, old = handle_of(guests, vm["id"]), supervisor(guests, vm["id"])
    kill(old)
    eventually(lambda: (pid := supervisor(guests, vm["id"])) != old and pid)
    assert waits(guests)["id"] == vm["id"]
    assert handle.halted
    assert process_fields(handle.halted.pid)[0] == "T"
    row = create(guests, "web")
    assert is_from(row, vm)
    assert guests.banger("vm", "exec", "web", "--", "true")[0] == 0


def supervisor(guests: Guests, vm_id: str) -> int:
    with guests.peer() as peer:
        services = peer.call("broker", "broker.services")["services"]
    return next((int(each["pid"]) for each in services if each["name"] == f"vm:{vm_id}"), 0)


def test_a_supervisor_that_dies_at_the_hand_over_costs_time_only(guests: Guests) -> None:
    vm = waits(guests)
    old = supervisor(guests, vm["id"])
    os.kill(old, signal.SIGSTOP)  # it is asked, and will not answer
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(create, guests, "web")
        eventually(lambda: not rows(guests, "pool"))  # claimed
        kill(old)
        row = creating.result(PATIENCE)
    assert (row["name"], row["state"]) == ("web", "running")
    assert guests.banger("vm", "exec", "web", "--", "true")[0] == 0


def test_an_api_that_dies_at_the_hand_over_is_asked_again(guests: Guests) -> None:
    vm = waits(guests)
    old = supervisor(guests, vm["id"])
    os.kill(old, signal.SIGSTOP)  # it is asked, and will answer later
    with ThreadPoolExecutor() as pool:
        running = pool.submit(guests.banger, "vm", "run", "-d", "--name", "web", *SIZES)
        eventually(lambda: not rows(guests, "pool"))  # claimed
        kill(api(guests))
        os.kill(old, signal.SIGCONT)
        status, _, err = running.result(PATIENCE)
    assert status == 0, err
    row = guests.row("web")
    assert row["state"] == "running"
    assert not handle_of(guests, row["id"]).waits
    assert guests.banger("vm", "exec", "web", "--", "true")[0] == 0


def api(guests: Guests) -> int:
    with guests.peer() as peer:
        services = peer.call("broker", "broker.services")["services"]
    return next(int(each["pid"]) for each in services if each["name"] == "api")


def test_the_next_api_knows_what_waits(guests: Guests) -> None:
    vm = waits(guests)
    kill(old := api(guests))
    eventually(lambda: (pid := _api_or_none(guests)) != old and pid)
    assert waits(guests)["id"] == vm["id"]
    assert is_from(eventually(lambda: create(guests, "web")), vm)


def _api_or_none(guests: Guests) -> int:
    try:
        return api(guests)
    except (StopIteration, BangerError, Silence):
        return 0


def test_one_whose_vmm_ends_is_replaced_and_its_master_ends(guests: Guests) -> None:
    vm = waits(guests)
    handle = handle_of(guests, vm["id"])
    kill(handle.pid)
    assert eventually(lambda: waits(guests)["id"] != vm["id"], patience=PATIENCE)
    assert handle.halted
    assert handle.halted.pid not in guests.masters()
