"""An api that dies at a bad moment: its successor finds what it had begun."""

import contextlib
import os
import re
import signal
import sqlite3
from collections.abc import Iterator

import pytest

from tests.integration.guests import SMALL, Guests, finals, kill
from tests.waiting import eventually


def supervisors(guests: Guests) -> list[int]:
    """Pids of all of them, the spare one too."""
    found = guests.home.processes().items()
    return [pid for pid, line in found if "services.vm_supervisor" in line]


def was_handed_out(guests: Guests, supervisor: int) -> bool:
    """Whether it was given a VM, as the api's log has it."""
    log = guests.home.paths.log_file("api").read_text()
    return re.search(rf'"of": {supervisor}\b', log) is not None


@pytest.fixture
def late(guests: Guests) -> Iterator[int]:
    """The pid of the supervisor of ``late``, which became ready when the api that had started it
    was dead. Nobody has asked it for anything."""
    guests.create("late", start=False)
    eventually(lambda: not any(was_handed_out(guests, pid) for pid in supervisors(guests)))
    eventually(lambda: len(supervisors(guests)) == 1)
    (spare,) = supervisors(guests)
    os.kill(spare, signal.SIGSTOP)
    api = guests.stack.pid("api")
    with guests.peer() as peer:
        peer.ask("api", "vm.start", {"ref": "late"}, seconds=20)
        eventually(lambda: was_handed_out(guests, spare))
    kill(api)
    eventually(lambda: guests.stack.registered().get("api") not in (None, api))
    eventually(lambda: guests.state("late") == "created")
    os.kill(spare, signal.SIGCONT)
    eventually(lambda: guests.supervisor("late") == spare)
    yield spare
    guests.call("vm.delete", ref="late")


def test_supervisor_that_is_ready_late_serves_the_next_api(guests: Guests, late: int) -> None:
    guests.call("vm.start", ref="late")
    assert guests.supervisor("late") == late
    guests.call("vm.stop", ref="late", timeout=10)
    assert "Power down" in console(guests, "late")


def test_supervisor_that_nobody_asks_for_anything_leaves(guests: Guests, late: int) -> None:
    eventually(lambda: guests.supervisor("late") == 0)
    assert guests.state("late") == "created"


def test_boot_that_is_killed_before_its_first_step_is_over(guests: Guests, late: int) -> None:
    service = f"vm:{guests.row('late')['id']}"
    with guests.peer() as peer:
        asked = [
            peer.ask(service, "machine.start"),
            peer.ask(service, "machine.kill", {"signal": 9}),
        ]
        finals(peer, asked)
    eventually(lambda: guests.supervisor("late") == 0)
    assert (guests.state("late"), guests.vmms()) == ("created", [])


def console(guests: Guests, name: str) -> str:
    with open(guests.show(name)["console_log"]) as log:
        return log.read()


def test_row_is_corrected_when_the_store_can_be_written_again(guests: Guests) -> None:
    guests.call("vm.create", name="torn", **SMALL)
    database = guests.home.paths.database
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")  # until it is closed
        (vmm,), supervisor = guests.vmms("torn"), guests.supervisor("torn")
        os.kill(supervisor, signal.SIGSTOP)  # it shall not tell of the VMM's end
        kill(vmm)
        kill(supervisor)
        log = guests.home.paths.log_file("api")
        eventually(lambda: "row not corrected" in log.read_text())
    eventually(lambda: stored_state(guests) == "stopped")
    guests.call("vm.delete", ref="torn")


def stored_state(guests: Guests) -> str:
    with guests.peer() as peer:
        (row,) = peer.call("store", "vm.list")["vms"]
    return str(row["state"])


def test_spare_that_was_killed_costs_nothing(guests: Guests) -> None:
    eventually(lambda: len(supervisors(guests)) == 1)
    kill(supervisors(guests)[0])
    guests.call("vm.create", name="first", **SMALL)
    assert guests.state("first") == "running"
    guests.call("vm.delete", ref="first")
