"""Processes of ours killed at the worst moment of a VM's life: it is taken over, never doubled."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.qemu.hubs import CLOSED, OPEN
from shared.bus.envelope import Kind
from shared.errors import Code
from shared.host.locks import holder
from shared.vm import files
from shared.vm.handle import handle_path, read_handle
from tests import loopback
from tests.home import REPOSITORY
from tests.integration.guests import (
    NOTHING,
    SIZES,
    SMALL,
    Guests,
    finals,
    kill,
    new_guests,
    opened,
    stage_reached,
)
from tests.integration.peer import error_of
from tests.waiting import eventually

PUBLISHED = f"{loopback.address(9)}:8001:80"
"""At an address of these tests' own."""


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests("boot_timeout = 20.0") as guests:
        yield guests


@contextmanager
def creating(guests: Guests, name: str) -> Iterator["subprocess.Popen[str]"]:
    """``banger vm create`` at work: a client that asks again when its link is lost."""
    words = ("vm", "create", "-q", "--name", name, "--publish", PUBLISHED, *SIZES)
    argv = [sys.executable, "-m", "cli", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=REPOSITORY, env=guests.home.environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        yield process


def line_with(process: "subprocess.Popen[str]", words: str) -> None:
    """Return when the command has said ``words``."""
    assert process.stderr
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended before it said {words!r}"


def restarted(guests: Guests, name: str, old: int) -> int:
    """The pid of the supervisor that follows ``old``."""
    return eventually(lambda: (pid := guests.supervisor(name)) != old and pid)


def check_running_once(guests: Guests, name: str) -> None:
    """One VMM, one supervisor, one ssh master, and the row says so."""
    shown = guests.show(name)
    assert shown["vm"]["state"] == "running"
    assert guests.vmms() == [shown["pid"]]
    eventually(lambda: len(guests.masters()) == 1)
    lock = guests.home.paths.vm_state(shown["vm"]["id"]) / files.LOCK
    assert holder(lock) == eventually(lambda: guests.supervisor(name))


# -- the supervisor -------------------------------------------------------------------------


@pytest.fixture
def slow_disks(guests: Guests) -> Iterator[Callable[[], None]]:
    """mke2fs waits until the function returned has been called."""
    gate = guests.home.root / "gate"
    os.mkfifo(gate)
    script = guests.home.root / "bin/mke2fs"
    real = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    script.write_text(f'#!/bin/sh\n[ -p {gate} ] && read -r _ <{gate}\nexec {real} "$@"\n')
    script.chmod(0o755)

    def release() -> None:
        writer = os.open(gate, os.O_RDWR)  # for all that wait, and will not block without one
        os.write(writer, b"\n" * 8)
        gate.unlink()
        waiting = "mke2fs"
        eventually(lambda: not any(waiting in line for line in guests.home.processes().values()))
        os.close(writer)

    yield release
    script.unlink()


def test_supervisor_killed_before_the_vmm_is_replaced(
    guests: Guests, slow_disks: Callable[[], None]
) -> None:
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.create", {"name": "early", **SMALL}, seconds=30)
        stage_reached(peer, asked, "preparing disks")
        old = guests.supervisor("early")
        kill(old)
        restarted(guests, "early", old)
        slow_disks()
        assert peer.final(asked)["vm"]["state"] == "running"
    check_running_once(guests, "early")
    guests.call("vm.delete", ref="early")


def test_supervisor_killed_during_the_boot_is_replaced(guests: Guests) -> None:
    release = guests.hold("booting")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.create", {"name": "booting", **SMALL}, seconds=30)
        stage_reached(peer, asked, "booting with")
        (vmm,) = guests.vmms()
        old = guests.supervisor("booting")
        kill(old)
        restarted(guests, "booting", old)
        release()
        created = peer.final(asked)
    assert (created["vm"]["state"], created["pid"]) == ("running", vmm)
    check_running_once(guests, "booting")
    guests.call("vm.delete", ref="booting")


def test_supervisor_killed_while_it_runs_is_replaced(guests: Guests) -> None:
    guests.create("lasting")
    before, masters = guests.show("lasting"), guests.masters()
    old = guests.supervisor("lasting")
    kill(old)
    restarted(guests, "lasting", old)
    after = guests.show("lasting")
    assert (after["pid"], after["boot_id"]) == (before["pid"], before["boot_id"])
    assert guests.masters() == masters
    check_running_once(guests, "lasting")
    guests.type("lasting", "listen 4000")
    eventually(lambda: "tcp/4000" in guests.show("lasting")["ports"])
    guests.call("vm.delete", ref="lasting")


def test_supervisor_killed_while_it_stops_its_vm_does_not_keep_it_running(guests: Guests) -> None:
    guests.script("stopping", "stubborn")
    guests.create("stopping")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.stop", {"ref": "stopping", "timeout": 2.0}, seconds=30)
        eventually(lambda: guests.state("stopping") == "stopping")
        kill(guests.supervisor("stopping"))
        assert peer.final(asked)["vm"]["state"] == "stopped"
    assert (guests.vmms(), guests.masters()) == ([], [])
    guests.call("vm.delete", ref="stopping")


def test_supervisor_killed_while_its_guest_shuts_down_does_not_cut_its_power(
    guests: Guests,
) -> None:
    fifo = guests.home.root / "shutdown.fifo"
    os.mkfifo(fifo)
    guests.script("orderly", f"linger {fifo}")
    guests.create("orderly")
    console = guests.home.paths.vm_state(guests.row("orderly")["id"]) / files.CONSOLE_LOG
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.stop", {"ref": "orderly", "timeout": 20.0}, seconds=30)
        eventually(lambda: guests.state("orderly") == "stopping")
        writer = eventually(lambda: opened(fifo))
        kill(old := guests.supervisor("orderly"))
        new = restarted(guests, "orderly", old)
        eventually(lambda: supervised_state(guests, "orderly") == "stopping")
        os.write(writer, b"off\n")
        assert peer.final(asked)["vm"]["state"] == "stopped"
    os.close(writer)
    assert new
    assert "reboot: Power down" in console.read_text()
    guests.call("vm.delete", ref="orderly")


@pytest.fixture
def broken_ssh(guests: Guests) -> Iterator[Callable[[], None]]:
    """No ssh connects any more once the function returned has been called."""
    ssh = guests.home.root / "bin/ssh"
    real = ssh.readlink()

    def break_it() -> None:
        ssh.unlink()
        ssh.write_text("#!/bin/sh\nexit 255\n")
        ssh.chmod(0o755)
        for master in guests.masters():
            kill(master)

    yield break_it
    ssh.unlink()
    ssh.symlink_to(real)


def test_guest_whose_sshd_is_broken_is_still_asked_to_power_off_after_a_takeover(
    guests: Guests, broken_ssh: Callable[[], None]
) -> None:
    guests.create("mute")
    broken_ssh()
    kill(old := guests.supervisor("mute"))
    restarted(guests, "mute", old)
    assert guests.call("vm.stop", ref="mute", timeout=10)["vm"]["state"] == "stopped"
    console = guests.home.paths.vm_state(guests.row("mute")["id"]) / files.CONSOLE_LOG
    assert "reboot: Power down" in console.read_text()
    guests.call("vm.delete", ref="mute")


def supervised_state(guests: Guests, name: str) -> str:
    """The state as the VM's supervisor has it, which may be ahead of the row."""
    with guests.peer() as peer:
        answer = peer.final(peer.ask(f"vm:{guests.row(name)['id']}", "", kind=Kind.PING))
    return str(answer["state"])


def test_vm_whose_vmm_and_supervisor_die_together_is_not_running(guests: Guests) -> None:
    guests.create("both")
    supervisor, (vmm,) = guests.supervisor("both"), guests.vmms()
    os.kill(supervisor, signal.SIGSTOP)
    kill(vmm)
    kill(supervisor)
    eventually(lambda: guests.state("both") in ("stopped", "failed"))
    assert guests.row("both")["reason"]
    assert guests.call("vm.start", ref="both")["vm"]["state"] == "running"
    check_running_once(guests, "both")
    guests.call("vm.delete", ref="both")


@pytest.mark.parametrize("copies", [1, 2])
def test_truncated_handle_does_not_lose_or_double_the_vm(guests: Guests, copies: int) -> None:
    guests.create("torn")
    vm_id, (vmm,) = guests.row("torn")["id"], guests.vmms()
    run = guests.home.paths.vm_run(vm_id)
    for path in (handle_path(run), run / files.HANDLE_COPY)[:copies]:
        path.write_bytes(path.read_bytes()[:20])
    kill(old := guests.supervisor("torn"))
    restarted(guests, "torn", old)
    assert guests.vmms() == [vmm]
    check_running_once(guests, "torn")
    guests.call("vm.delete", ref="torn")


def test_way_out_that_the_row_does_not_grant_is_closed_by_a_successor(guests: Guests) -> None:
    """As when the services died between the row and the VMM."""
    guests.create("shut")
    row = guests.row("shut")
    with guests.peer() as peer:
        peer.call(f"vm:{row['id']}", "machine.apply", vm=row | {"nat": True})
    kill(old := guests.supervisor("shut"))
    restarted(guests, "shut", old)
    guests.type("shut", "networks")
    console = guests.home.paths.vm_state(row["id"]) / files.CONSOLE_LOG
    said = eventually(lambda: console.read_text().partition("networks: ")[2].partition("\r")[0])
    assert CLOSED.network in said.split()
    assert OPEN.network not in said.split()
    guests.call("vm.delete", ref="shut")


def blocked_handle(guests: Guests, name: str) -> Path:
    """Takes the place of the file that the VM's supervisor writes before it renames it."""
    run = guests.home.paths.vm_run(guests.row(name)["id"])
    place = run / f".{files.HANDLE}.{guests.supervisor(name)}.tmp"
    place.mkdir()
    return place


def test_handle_that_cannot_be_written_does_not_end_a_boot(guests: Guests) -> None:
    release = guests.hold("full")
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.create", {"name": "full", **SMALL}, seconds=30)
        stage_reached(peer, asked, "booting with")
        place = blocked_handle(guests, "full")
        release()
        assert peer.final(asked)["vm"]["state"] == "running"
    assert not (place.parent / files.INITRD).exists(), "it has been read, and takes space"
    place.rmdir()
    eventually(lambda: (handle := read_handle(place.parent)) and handle.ready)
    guests.call("vm.delete", ref="full")


def test_vmm_whose_handle_cannot_be_written_does_not_stay(
    guests: Guests, slow_disks: Callable[[], None]
) -> None:
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.create", {"name": "lost", **SMALL}, seconds=30)
        stage_reached(peer, asked, "preparing disks")
        blocked_handle(guests, "lost")
        slow_disks()
        assert error_of(lambda: peer.final(asked)).code is Code.INTERNAL
    assert guests.leftovers() == NOTHING


# -- the services ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "number"),
    [
        ("api", signal.SIGKILL),
        ("api", signal.SIGTERM),
        ("store", signal.SIGKILL),
        ("broker", signal.SIGKILL),
    ],
)
def test_service_ended_during_a_creation_does_not_stop_it(
    guests: Guests, service: str, number: signal.Signals
) -> None:
    release = guests.hold("going-on")
    with creating(guests, "going-on") as process:
        line_with(process, "booting with")
        (vmm,) = guests.vmms()
        os.kill(guests.stack.pid(service), number)
        release()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert guests.row("going-on")["id"] == out.strip()
    assert guests.vmms() == [vmm]
    eventually(lambda: guests.state("going-on") == "running")
    check_running_once(guests, "going-on")
    guests.call("vm.delete", ref="going-on")


def test_api_that_is_stopped_does_not_break_off_the_stop_of_a_vm(guests: Guests) -> None:
    guests.script("stopping", "stubborn")
    guests.create("stopping")
    with guests.peer() as peer:
        peer.ask("api", "vm.stop", {"ref": "stopping", "timeout": 3.0}, seconds=30)
        eventually(lambda: guests.state("stopping") == "stopping")
        os.kill(guests.stack.pid("api"), signal.SIGTERM)
        eventually(lambda: guests.state("stopping") == "stopped")
    guests.call("vm.delete", ref="stopping")


def test_operation_that_passed_its_deadline_was_not_cancelled(guests: Guests) -> None:
    release = guests.hold("slow")
    with guests.peer() as peer:
        creation = peer.ask("api", "vm.create", {"name": "slow", **SMALL}, seconds=30)
        stage_reached(peer, creation, "booting with")
        start = peer.ask("api", "vm.start", {"ref": "slow"}, seconds=0.3)
        assert error_of(lambda: peer.final(start)).code is Code.TIMEOUT
        (shown,) = [
            each for each in guests.call("ops.list")["operations"] if each["id"] == start.hex()
        ]
        assert (shown["state"], shown["code"]) == ("failed", "timeout")
        release()
        peer.final(creation)
    guests.call("vm.delete", ref="slow")


def test_every_service_killed_at_once_leaves_the_vm_running(guests: Guests) -> None:
    guests.create("alone")
    before = guests.show("alone")
    for pid in [guests.supervisor("alone"), *map(guests.stack.pid, ("api", "store", "broker"))]:
        kill(pid)
    eventually(lambda: guests.state("alone") == "running")
    eventually(lambda: guests.supervisor("alone"))
    assert guests.show("alone")["pid"] == before["pid"]
    check_running_once(guests, "alone")
    guests.call("vm.delete", ref="alone")


# -- nothing grows --------------------------------------------------------------------------


def resources(guests: Guests) -> dict[str, tuple[int, int]]:
    """Open descriptors and resident MiB of every service."""
    found = {}
    for name, pid in guests.stack.registered().items():
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        found[name] = (len(list(Path(f"/proc/{pid}/fd").iterdir())), pages * 4096 >> 20)
    return found


def turn(guests: Guests, number: int, *, start: bool) -> None:
    """Create and delete ``number`` VMs, five at a time."""
    with guests.peer() as peer:
        for _ in range(0, number, 5):
            made = [
                peer.ask("api", "vm.create", {**SMALL, "start": start}, seconds=60)
                for _ in range(5)
            ]
            views = [answer for answer in finals(peer, made).values() if isinstance(answer, dict)]
            assert len(views) == len(made)
            asked = [
                peer.ask("api", "vm.delete", {"ref": view["vm"]["id"]}, seconds=60)
                for view in views
            ]
            assert all(isinstance(answer, dict) for answer in finals(peer, asked).values())


@pytest.mark.timeout(150)
def test_creating_and_deleting_leaves_every_service_as_it_was(guests: Guests) -> None:
    turn(guests, 10, start=True)  # pools and caches fill
    before = resources(guests)
    turn(guests, 200, start=False)
    turn(guests, 20, start=True)
    assert guests.leftovers() == NOTHING

    def grown() -> dict[str, object]:
        after = resources(guests)
        return {
            name: (before[name], after.get(name))
            for name in before
            if name not in after
            or after[name][0] > before[name][0] + 2  # the spare, and who asks
            or after[name][1] > before[name][1] + 8
        }

    eventually(lambda: not grown())
