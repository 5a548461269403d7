"""A VMM that nobody has heard of is chosen, launched, found again and shown: by registering it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.handle import handle_path
from tests.integration.guests import Guests, kill, new_guests
from tests.waiting import eventually

SITE = Path(__file__).parent / "paper" / "site"


@pytest.fixture
def guests() -> Iterator[Guests]:
    """A stack in which every process has registered the third VMM."""
    with new_guests(site=SITE) as guests:
        yield guests
        guests.delete_all()


def test_it_is_chosen_and_shown_and_its_guest_stops_in_order(guests: Guests) -> None:
    status, _, err = guests.banger("vm", "run", "--name", "sheet", "-d")
    assert status == 0, err
    assert "paper (there is paper here)" in err
    assert guests.show("sheet")["running_vmm"] == "paper"
    _, shown, _ = guests.banger("vm", "show", "sheet")
    assert "paper" in shown
    assert guests.call("vm.stop", ref="sheet", timeout=10)["vm"]["reason"] == ""


def test_it_is_had_for_the_asking_and_offered_where_another_is_asked_for(guests: Guests) -> None:
    assert guests.create("sheet", vmm="paper")["running_vmm"] == "paper"
    assert guests.create("other", vmm="qemu")["running_vmm"] == "qemu"
    status, _, err = guests.banger("vm", "create", "--vmm", "vellum")
    assert status == 2
    assert "paper" in err
    with pytest.raises(BangerError) as caught:
        guests.create("none", vmm="vellum")
    assert caught.value.code is Code.INVALID
    assert "paper" in caught.value.hint


def test_it_is_found_again_without_a_handle_and_goes_on(guests: Guests) -> None:
    before = guests.create("sheet")
    run = guests.home.paths.vm_run(before["vm"]["id"])
    for path in (handle_path(run), run / files.HANDLE_COPY):
        path.write_bytes(b"")
    kill(old := guests.supervisor("sheet"))
    eventually(lambda: guests.supervisor("sheet") not in (0, old))
    after = eventually(lambda: (shown := guests.show("sheet"))["running_vmm"] and shown)
    assert (after["running_vmm"], after["pid"]) == ("paper", before["pid"])
    assert after["access"]["port"] == before["access"]["port"]


def test_it_is_paused_resumed_and_its_console_attached_to(guests: Guests) -> None:
    guests.create("sheet")
    assert guests.call("vm.pause", ref="sheet")["vm"]["state"] == "paused"
    assert guests.call("vm.resume", ref="sheet")["vm"]["state"] == "running"
    guests.type("sheet", "poweroff")
    eventually(lambda: guests.state("sheet") == "stopped")
