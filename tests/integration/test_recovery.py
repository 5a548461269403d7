"""What is left when nobody could do anything about it: a host that rebooted, a supervisor that
cannot be kept."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.vm import files
from tests.integration.guests import NOTHING, PROCFILE, Guests, kill, new_guests
from tests.waiting import eventually


@pytest.fixture
def guests() -> Iterator[Guests]:
    with new_guests() as alone:
        yield alone


def test_after_a_reboot_of_the_host_every_vm_is_stopped_and_startable(guests: Guests) -> None:
    guests.create("web")
    guests.create("db", start=False)
    before = guests.show("web")
    for pid in guests.home.processes():
        kill(pid)
    guests.stack.stop()  # reaps it
    eventually(lambda: not guests.home.processes())
    shutil.rmtree(guests.home.paths.run)
    guests.home.environment["BANGER_HOST_BOOT_ID"] = "another boot"
    guests.stack.launch(PROCFILE)
    eventually(lambda: guests.state("web") == "stopped")
    assert guests.show("web")["pid"] is None
    assert guests.state("db") == "created"
    guests.call("vm.start", ref="web")
    after = guests.show("web")
    assert after["vm"]["address"] == before["vm"]["address"]
    assert after["boot_id"] != before["boot_id"]
    guests.delete_all()
    assert guests.leftovers() == NOTHING


@pytest.fixture
def orphan(guests: Guests) -> int:
    """The VMM of "web", whose supervisor has been killed until it was given up."""
    guests.create("web")
    vmm = int(guests.show("web")["pid"])

    def killed_again() -> bool:
        if guests.state("web") == "failed":
            return True
        pid = guests.supervisor("web")
        if pid:
            kill(pid)
            eventually(lambda: guests.supervisor("web") != pid)
        return False

    eventually(killed_again)
    return vmm


def test_a_vm_whose_supervisor_cannot_be_kept_has_failed_and_its_vmm_goes_on(
    guests: Guests, orphan: int
) -> None:
    shown = guests.show("web")
    assert "its supervisor ended too often" in shown["vm"]["reason"]
    assert shown["pid"] == orphan
    assert guests.vmms() == [orphan]
    assert guests.call("vm.access", ref="web")["access"], "ssh reaches it still"
    guests.call("vm.kill", ref="web")
    assert guests.state("web") == "stopped"
    assert guests.vmms() == []
    guests.delete_all()


def test_such_a_vm_is_stopped_by_a_supervisor_that_takes_it_over(
    guests: Guests, orphan: int
) -> None:
    assert guests.call("vm.stop", ref="web")["vm"]["state"] == "stopped"
    assert orphan not in guests.vmms()
    log = guests.home.paths.vm_state(guests.row("web")["id"]) / files.SUPERVISOR_LOG
    said = log.read_text().rpartition("took over the VMM")[2]
    assert "the VMM ended" in said, "it was cut off by somebody else"
    assert "Power down" in Path(guests.show("web")["console_log"]).read_text()
    guests.delete_all()
    assert guests.leftovers() == NOTHING


@pytest.mark.parametrize("verb", ["vm.kill", "vm.delete"])
def test_such_a_vm_is_ended_though_its_handle_is_damaged(
    guests: Guests, orphan: int, verb: str
) -> None:
    run = guests.home.paths.vm_run(guests.row("web")["id"])
    for path in run.glob("handle*.json"):
        path.write_bytes(path.read_bytes()[:20])
    assert guests.vmms() == [orphan]
    guests.call(verb, ref="web")
    assert guests.vmms() == []
    guests.delete_all()
    assert guests.leftovers() == NOTHING


def test_such_a_vm_is_taken_over_again_by_a_start(guests: Guests, orphan: int) -> None:
    guests.call("vm.start", ref="web")
    assert guests.state("web") == "running"
    assert guests.vmms() == [orphan]
    guests.call("vm.delete", ref="web")
    assert guests.leftovers() == NOTHING
