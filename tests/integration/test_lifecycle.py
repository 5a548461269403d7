"""The whole life of VMs, by the command and on the bus, with scripted guests."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shared.bus.envelope import Kind
from shared.errors import BangerError, Code
from shared.vm import files
from tests.home import REPOSITORY
from tests.integration.guests import (
    NOTHING,
    SIZES,
    SMALL,
    Guests,
    View,
    finals,
    kill,
    new_guests,
    opened,
    stage_reached,
)
from tests.integration.peer import Peer, error_of
from tests.stack import want
from tests.waiting import eventually

# -- by the command -------------------------------------------------------------------------


def test_run_gives_the_status_of_the_command_and_leaves_nothing(guests: Guests) -> None:
    argv = ("vm", "run", "--rm", *SIZES, "--env", "A=b c", "--", "sh", "-c", 'echo "$A"; exit 42')
    status, out, err = guests.banger(*argv)
    assert (status, out) == (42, "b c\n"), err
    assert "spec: 1 vcpu" in err
    assert guests.leftovers() == NOTHING


def test_one_request_is_found_in_the_logs_of_every_service_it_went_through(
    guests: Guests,
) -> None:
    guests.create("followed")
    operations = guests.call("ops.list")["operations"]
    request = next(each["id"] for each in operations if each["subject"] == "followed")
    _, lines, _ = guests.banger("daemon", "logs", "--request", request, "--json")
    told = {json.loads(line)["service"].partition(":")[0] for line in lines.splitlines()}
    assert told >= {"api", "store", "images", "vm"}
    guests.call("vm.delete", ref="followed")


def test_create_start_stop_kill_delete(guests: Guests) -> None:
    assert guests.banger("vm", "create", "--name", "web", "--no-start", *SIZES)[0] == 0
    assert guests.state("web") == "created"
    assert (guests.vmms(), guests.files()) == ([], [])
    assert guests.banger("vm", "start", "web")[0] == 0
    first = guests.show("web")
    assert (first["vm"]["state"], [first["pid"]]) == ("running", guests.vmms("web"))
    assert len(guests.masters()) == 1
    assert guests.banger("vm", "stop", "web")[0] == 0
    assert guests.state("web") == "stopped"
    assert (guests.vmms(), guests.masters()) == ([], [])
    assert (guests.home.paths.vm_state(first["vm"]["id"]) / files.WORK_DISK).exists()
    assert guests.banger("vm", "start", "web")[0] == 0
    second = guests.show("web")
    assert second["boot_id"] not in ("", first["boot_id"])
    assert second["vm"]["address"] == first["vm"]["address"]
    assert guests.banger("vm", "kill", "web")[0] == 0
    assert (guests.state("web"), guests.vmms(), guests.masters()) == ("stopped", [], [])
    assert guests.banger("vm", "delete", "web")[0] == 0
    assert guests.banger("vm", "show", "web")[0] == 3


def test_ctrl_c_during_the_boot_cancels_it_and_leaves_nothing(guests: Guests) -> None:
    guests.hold("late")
    argv = [sys.executable, "-m", "cli", "vm", "run", "--name", "late", *SIZES, "--", "true"]
    environment = guests.home.environment
    with subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr
        while b"boot" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT
    assert guests.leftovers() == NOTHING


# -- guests that fail -----------------------------------------------------------------------


def failed_run(guests: Guests, name: str, *wishes: str) -> str:
    """What ``vm run --rm`` says of a guest that follows ``wishes``; the VM is kept."""
    guests.script(name, *wishes)
    status, out, err = guests.banger("vm", "run", "--rm", "--name", name, *SIZES, "--", "true")
    assert (status, out) == (1, "")
    assert "Traceback" not in err
    row = guests.row(name)
    assert row["state"] == "failed"
    assert row["reason"] in err
    assert f"banger vm delete {name}" in err
    assert str(guests.home.paths.vm_state(row["id"]) / files.CONSOLE_LOG) in err
    assert (guests.vmms(), guests.masters()) == ([], [])
    guests.call("vm.delete", ref=name)
    return err


def test_agent_that_never_comes_is_given_up() -> None:
    with new_guests("boot_timeout = 1.0") as hasty:
        said = failed_run(hasty, "mute", "mute")
    assert "the agent of mute did not answer within 1 s" in said
    assert "Linux version 6.1.0-scripted" in said


def test_panic_is_told_with_its_line(guests: Guests) -> None:
    said = failed_run(guests, "panic", "panic")
    assert "panic did not boot: Kernel panic - not syncing: scripted" in said


def test_panic_of_an_earlier_boot_is_not_told_again() -> None:
    with new_guests("boot_timeout = 1.0") as hasty:
        hasty.script("mended", "panic")
        error_of(lambda: hasty.create("mended"))
        hasty.script("mended", "mute")
        error = error_of(lambda: hasty.call("vm.start", ref="mended"))
        hasty.delete_all()
    assert "did not answer within 1 s: its console ends with 'Linux version" in error.message


def test_init_that_gives_up_is_told_with_its_line(guests: Guests) -> None:
    said = failed_run(guests, "rootless", "fail cannot mount the image (/dev/vda)")
    assert "banger-init: error: cannot mount the image (/dev/vda)" in said


def test_vmm_that_crashes_while_booting_is_told_with_its_last_words(guests: Guests) -> None:
    guests.script("crashed", "crash the processor melted")
    error = error_of(lambda: guests.create("crashed"))
    assert error.code is Code.GUEST_FAILED
    assert "the processor melted" in error.message
    assert (guests.leftovers()["vmms"], guests.leftovers()["ssh"]) == ([], [])
    guests.delete_all()


def test_vmm_that_dies_at_once_leaves_nothing(guests: Guests) -> None:
    guests.script("stillborn", "die no room for a machine")
    error = error_of(lambda: guests.create("stillborn"))
    assert error.code is Code.GUEST_FAILED
    assert "no room for a machine" in error.message
    assert guests.leftovers() == NOTHING


def test_failed_vm_starts_again(guests: Guests) -> None:
    guests.script("again", "panic")
    error_of(lambda: guests.create("again"))
    guests.script("again")
    assert guests.call("vm.start", ref="again")["vm"]["state"] == "running"
    assert guests.row("again")["reason"] == ""
    guests.call("vm.delete", ref="again")


# -- what a running guest does --------------------------------------------------------------


@pytest.fixture
def web(guests: Guests) -> Iterator[str]:
    """A running VM, deleted at the end."""
    guests.create("web")
    yield "web"
    guests.script("web")
    guests.call("vm.delete", ref="web")


def test_guest_that_powers_itself_off_is_stopped(guests: Guests, web: str) -> None:
    guests.type(web, "poweroff")
    eventually(lambda: stored(guests, web) == ("stopped", ""))
    eventually(lambda: guests.masters() == [])


def stored(guests: Guests, name: str) -> tuple[str, str]:
    """State and reason as the supervisor told them; what is shown may know of the end before."""
    with guests.peer() as peer:
        rows = peer.call("store", "vm.list")["vms"]
    return next((row["state"], row["reason"]) for row in rows if row["name"] == name)


def test_guest_that_reboots_is_booted_again(guests: Guests, web: str) -> None:
    first = guests.show(web)
    guests.type(web, "reboot")
    eventually(lambda: guests.show(web)["boot_id"] not in ("", first["boot_id"]))
    eventually(lambda: guests.state(web) == "running")
    assert guests.show(web)["pid"] != first["pid"]
    eventually(lambda: len(guests.masters()) == 1)


def test_guest_that_reboots_and_cannot_has_failed(guests: Guests, web: str) -> None:
    guests.script(web, "die no room for a machine")
    guests.type(web, "reboot")
    eventually(lambda: guests.state(web) == "failed")
    assert "no room for a machine" in guests.row(web)["reason"]


def test_guest_that_panics_has_failed(guests: Guests, web: str) -> None:
    guests.type(web, "panic")
    eventually(lambda: guests.state(web) == "failed")
    assert guests.row(web)["reason"] == "Kernel panic - not syncing: scripted"


def test_killed_vmm_is_told(guests: Guests, web: str) -> None:
    kill(guests.vmms(web)[0])
    eventually(lambda: guests.state(web) == "failed")
    assert "killed by signal 9" in guests.row(web)["reason"]
    eventually(lambda: guests.masters() == [])


def test_guest_stopped_by_a_full_disk_goes_on_when_it_can(guests: Guests, web: str) -> None:
    guests.type(web, "full")
    eventually(lambda: guests.banger("vm", "ports", web)[0] == 0)
    assert guests.state(web) == "running"


def test_guest_stopped_by_a_full_disk_while_nobody_watched_goes_on(
    guests: Guests, web: str
) -> None:
    supervisor = guests.supervisor(web)
    os.kill(supervisor, signal.SIGSTOP)
    guests.type(web, "full")
    kill(supervisor)
    eventually(lambda: guests.supervisor(web) not in (0, supervisor))
    eventually(lambda: guests.banger("vm", "ports", web)[0] == 0)


def test_listening_port_appears_and_goes(guests: Guests, web: str) -> None:
    guests.type(web, "listen 3000")
    eventually(lambda: "tcp/3000" in guests.show(web)["ports"])
    guests.type(web, "unlisten 3000")
    eventually(lambda: "tcp/3000" not in guests.show(web)["ports"])


def test_power_off_that_is_ignored_ends_with_the_vmm(guests: Guests) -> None:
    guests.script("stubborn", "stubborn")
    guests.create("stubborn")
    stopped = guests.call("vm.stop", ref="stubborn", timeout=0.3)
    assert stopped["vm"]["state"] == "stopped"
    assert guests.vmms() == []
    guests.call("vm.delete", ref="stubborn")


def test_power_off_that_is_lost_is_asked_again(guests: Guests) -> None:
    """As when the guest is asked before its init listens to signals."""
    guests.script("deaf", "deaf")
    guests.create("deaf")
    guests.call("vm.stop", ref="deaf", timeout=15)
    log = (guests.home.paths.vm_state(guests.row("deaf")["id"]) / files.CONSOLE_LOG).read_text()
    assert "reboot: Power down" in log
    guests.call("vm.delete", ref="deaf")


def test_paused_guest_stops_all_the_same(guests: Guests, web: str) -> None:
    assert guests.call("vm.pause", ref=web)["vm"]["state"] == "paused"
    assert guests.call("vm.stop", ref=web, timeout=5)["vm"]["state"] == "stopped"


def test_outside_is_opened_while_it_runs(guests: Guests, web: str) -> None:
    assert guests.call("vm.set", ref=web, nat=True)["vm"]["nat"]
    assert not guests.call("vm.set", ref=web, nat=False)["vm"]["nat"]


def test_outside_that_a_lost_attempt_has_stored_is_set_all_the_same(
    guests: Guests, web: str
) -> None:
    """The one that wrote the row may have died before the machine heard of it."""
    vm_id = guests.row(web)["id"]
    with guests.peer() as peer:
        want(peer.call, vm_id, nat=True)
    guests.call("vm.set", ref=web, nat=True)
    assert asked(guests, vm_id, "machine.apply") == ["ok"]


def asked(guests: Guests, vm_id: str, verb: str) -> list[str]:
    """What came of each request for ``verb`` at the VM's supervisor."""
    log = (guests.home.paths.vm_state(vm_id) / files.SUPERVISOR_LOG).read_text()
    served = [json.loads(line) for line in log.splitlines() if '"served"' in line]
    return [line["outcome"] for line in served if line["verb"] == verb]


def test_files_that_cannot_be_removed_do_not_keep_the_row(guests: Guests) -> None:
    guests.create("odd", start=False)
    place = guests.home.paths.vm_state(guests.row("odd")["id"])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("no directory")
    error = error_of(lambda: guests.call("vm.delete", ref="odd"))
    assert error.code is Code.DENIED
    assert str(place) in error.hint
    assert guests.state("odd") == "gone"
    place.unlink()


def test_guest_that_stops_is_not_entered_any_more(guests: Guests) -> None:
    guests.script("leaving", "stubborn")
    guests.create("leaving")
    with guests.peer() as peer:
        stop = peer.ask("api", "vm.stop", {"ref": "leaving", "timeout": 15.0})
        eventually(lambda: guests.state("leaving") == "stopping")
        assert error_of(lambda: guests.call("vm.access", ref="leaving")).code is Code.NOT_RUNNING
        guests.call("vm.kill", ref="leaving")
        peer.final(stop)
    guests.call("vm.delete", ref="leaving")


# -- at once --------------------------------------------------------------------------------


def test_twenty_at_once_have_twenty_addresses_and_names(guests: Guests) -> None:
    with guests.peer() as peer:
        asked = [peer.ask("api", "vm.create", {**SMALL, "start": False}) for _ in range(20)]
        answers = [each for each in finals(peer, asked).values() if isinstance(each, dict)]
    rows = {answer["vm"]["id"]: answer["vm"] for answer in answers}
    assert len({row["address"] for row in rows.values()}) == 20
    assert len({row["name"] for row in rows.values()}) == 20
    guests.delete_all()


def outcome(answer: View | BangerError) -> str:
    """ "ok", or the code of the error."""
    return answer.code.value if isinstance(answer, BangerError) else "ok"


@pytest.mark.parametrize("running", [False, True])
def test_two_clients_and_every_verb_at_once_end_in_one_state(guests: Guests, running: bool) -> None:
    """Start, stop and delete, twice each, at the same moment: whoever comes late is told why."""
    guests.create("torn", start=running)
    with guests.peer() as one, guests.peer() as two:
        asked = [
            (peer, peer.ask("api", verb, {"ref": "torn", **more}, seconds=20))
            for verb, more in (("vm.start", {}), ("vm.stop", {"timeout": 2}), ("vm.delete", {}))
            for peer in (one, two)
        ]
        answers = {
            request: answer
            for peer in (one, two)
            for request, answer in finals(peer, [r for p, r in asked if p is peer]).items()
        }
    told = {outcome(answer) for answer in answers.values()}
    assert told <= {"ok", "not_found", "conflict", "cancelled", "unavailable"}
    deleted = [outcome(answers[request]) for _, request in asked[4:]]
    assert "ok" in deleted
    eventually(lambda: guests.leftovers() == NOTHING)


def test_start_twice_boots_once(guests: Guests) -> None:
    guests.create("once", start=False)
    with guests.peer() as peer:
        asked = [peer.ask("api", "vm.start", {"ref": "once"}) for _ in range(5)]
        pids = {
            answer["pid"] for answer in finals(peer, asked).values() if isinstance(answer, dict)
        }
    assert list(pids) == guests.vmms("once")
    guests.call("vm.delete", ref="once")


@pytest.mark.parametrize("words", ["spec", "preparing disks", "booting with"])
def test_cancelled_creation_leaves_nothing(guests: Guests, words: str) -> None:
    guests.hold("gone")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.create", {"name": "gone", **SMALL})
        stage_reached(peer, asked, words)
        peer.ask("api", "vm.create", request_id=asked, kind=Kind.CANCEL)
        assert error_of(lambda: peer.final(asked)).code is Code.CANCELLED
    assert guests.leftovers() == NOTHING


def cancelled(peer: Peer, verb: str, asked: bytes) -> bool:
    """Whether a request that was taken back is answered so."""
    peer.ask("api", verb, request_id=asked, kind=Kind.CANCEL)
    return error_of(lambda: peer.final(asked)).code is Code.CANCELLED


@pytest.mark.parametrize(
    ("words", "before"), [("preparing disks", "created"), ("booting with", "stopped")]
)
def test_cancelled_start_ends_the_boot(guests: Guests, words: str, before: str) -> None:
    guests.create("unwanted", start=False)
    guests.hold("unwanted")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.start", {"ref": "unwanted"})
        stage_reached(peer, asked, words)
        assert cancelled(peer, "vm.start", asked)
    eventually(lambda: (guests.state("unwanted"), guests.vmms()) == (before, []))
    guests.script("unwanted")
    guests.call("vm.delete", ref="unwanted")


def test_cancelled_stop_leaves_a_guest_that_does_not_follow_as_it_was(guests: Guests) -> None:
    guests.script("kept", "stubborn")
    guests.create("kept")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.stop", {"ref": "kept", "timeout": 3})
        stage_reached(peer, asked, "asking the guest")
        assert cancelled(peer, "vm.stop", asked)
    assert guests.state("kept") == "running"
    guests.type("kept", "listen 3000")
    eventually(lambda: "tcp/3000" in guests.show("kept")["ports"])
    first = guests.show("kept")["boot_id"]
    guests.type("kept", "reboot")
    eventually(lambda: guests.show("kept")["boot_id"] not in ("", first))
    guests.call("vm.delete", ref="kept")


def operation(guests: Guests, verb: str) -> View:
    """The last operation of this verb."""
    known = [each for each in guests.call("ops.list")["operations"] if each["verb"] == verb]
    last: View = known[-1]
    return last


@pytest.mark.parametrize(
    ("verb", "answers"), [("vm.stop", ("conflict", "ok")), ("vm.restart", ("ok", "cancelled"))]
)
def test_a_guest_on_its_way_down_is_stopped_whoever_cancels(
    guests: Guests, verb: str, answers: tuple[str, str]
) -> None:
    """It cannot be told not to: nothing says ``running``, and a restart does not start it."""
    fifo = guests.home.root / "down.fifo"
    os.mkfifo(fifo)
    guests.script("leaving", f"linger {fifo}")
    guests.create("leaving")
    with guests.peer() as peer, guests.peer() as other:
        asked = peer.ask("api", verb, {"ref": "leaving", "timeout": 15.0})
        writer = eventually(lambda: opened(fifo))
        cancel = peer.ask("api", "ops.cancel", {"ref": operation(guests, verb)["id"]})
        eventually(lambda: ping(other, "api")["tasks"] == 2)
        assert guests.state("leaving") == "stopping"
        os.write(writer, b"off\n")
        os.close(writer)
        told = finals(peer, [cancel, asked])
    assert (outcome(told[cancel]), outcome(told[asked])) == answers
    assert (stored(guests, "leaving"), guests.vmms()) == (("stopped", ""), [])
    assert operation(guests, verb)["state"] == ("done" if verb == "vm.stop" else "cancelled")
    fifo.unlink()
    guests.call("vm.delete", ref="leaving")


def ping(peer: Peer, service: str) -> View:
    return peer.final(peer.ask(service, "", kind=Kind.PING))


def test_cancel_while_the_store_makes_the_row_leaves_nothing(guests: Guests) -> None:
    """The row is committed though nobody waits for the answer any more."""
    database = sqlite3.connect(guests.home.paths.database, isolation_level=None)
    with contextlib.closing(database), guests.peer() as peer, guests.peer() as other:
        database.execute("BEGIN IMMEDIATE")  # others may read and not write
        asked = peer.ask("api", "vm.create", {"name": "unlucky", **SMALL, "start": False})
        eventually(lambda: all(ping(other, "store")["tasks"] for _ in range(30)))
        peer.ask("api", "vm.create", request_id=asked, kind=Kind.CANCEL)
        ping(other, "api")
        database.execute("ROLLBACK")
        assert error_of(lambda: peer.final(asked)).code is Code.CANCELLED
    eventually(lambda: not ping_once(guests, "store")["tasks"])
    assert guests.leftovers() == NOTHING


def ping_once(guests: Guests, service: str) -> View:
    with guests.peer() as peer:
        return ping(peer, service)


def test_a_port_that_somebody_took_meanwhile_is_no_reason_to_fail(guests: Guests) -> None:
    """Two users' VMs may have the same loopback address: the port is free when it is looked at."""
    words = "qemu: Could not set up host forwarding rule 'tcp:127.77.0.2:22-:22'"
    guests.script("unlucky", "once", f"die {words}")
    guests.create("unlucky")
    assert guests.state("unlucky") == "running"
    guests.call("vm.delete", ref="unlucky")
