"""Services that are stopped or restarted under a long verb: it goes on, or says what happened."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.integration.guests import PROCFILE, SIZES, Guests, new_guests
from tests.waiting import eventually

RESTED = ("running", "stopped")


@pytest.fixture
def guests() -> Iterator[Guests]:
    with new_guests() as alone:
        yield alone
        alone.delete_all()


def command(guests: Guests, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        guests.home.argv(*words),
        env=guests.home.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def begun(guests: Guests, *words: str) -> "tuple[subprocess.Popen[bytes], Callable[[], None]]":
    """A command whose VM "web" has a VMM that boots, and what lets the boot go on."""
    release, before = guests.hold("web"), set(guests.vmms())
    started = command(guests, *words)
    eventually(lambda: set(guests.vmms()) - before, patience=30)
    return started, release


def test_a_start_goes_on_over_a_restart_of_the_services(guests: Guests) -> None:
    guests.create("web", start=False)
    booting, release = begun(guests, "vm", "start", "web")
    guests.stack.stop()
    guests.stack.launch(PROCFILE)
    release()
    out, err = booting.communicate(timeout=40)
    assert (booting.returncode, out) == (0, b"web\n"), err
    assert guests.state("web") == "running"
    assert len(guests.vmms()) == 1


def test_a_restart_whose_boot_has_begun_is_not_begun_again(guests: Guests) -> None:
    """The next api cannot know that this boot is what the command wants."""
    guests.create("web")
    restarting, release = begun(guests, "vm", "restart", "web")
    guests.stack.stop()
    guests.stack.launch(PROCFILE)
    _, err = restarting.communicate(timeout=40)
    assert restarting.returncode == 6
    assert b"api was stopped while it served vm.restart" in err
    assert b"banger vm list" in err
    release()
    eventually(lambda: guests.state("web") == "running")
    assert len(guests.vmms()) == 1


def test_a_boot_that_loses_its_services_says_so_and_goes_on(guests: Guests) -> None:
    running, release = begun(guests, "vm", "run", "-d", "--name", "web", *SIZES)
    guests.stack.stop()
    _, err = running.communicate(timeout=30)
    assert running.returncode == 6
    assert b"api was stopped while it served vm.create" in err
    assert b"banger vm list" in err
    release()
    guests.stack.launch(PROCFILE)
    eventually(lambda: guests.state("web") == "running")


def test_a_stop_that_loses_its_services_leaves_no_vm_on_its_way(guests: Guests) -> None:
    guests.script("web", "deaf")
    guests.create("web")
    restarting = command(guests, "vm", "restart", "web")
    eventually(lambda: guests.state("web") != "running")
    guests.stack.stop()
    _, err = restarting.communicate(timeout=30)
    assert b"api was stopped while it served vm.restart" in err
    guests.stack.launch(PROCFILE)
    eventually(lambda: guests.state("web") in RESTED)
