"""Suspend, snapshots and forks by real services, with guests that remember what they listen on."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.errors import BangerError, Code
from shared.vm import files
from tests.integration.guests import NOTHING, Guests, View, kill, new_guests
from tests.integration.peer import error_of
from tests.waiting import eventually


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests("boot_timeout = 20.0") as guests:
        yield guests


def created(guests: Guests, name: str, port: int) -> View:
    """A running VM whose guest listens on ``port``, which it remembers."""
    guests.create(name)
    return listening(guests, name, port)


def listening(guests: Guests, name: str, port: int) -> View:
    guests.type(name, f"listen {port}")
    eventually(lambda: has_port(guests.show(name), port))
    return guests.show(name)


def refused_by(guests: Guests, verb: str, **body: Any) -> BangerError:
    return error_of(lambda: guests.call(verb, **body))


def listens(guests: Guests, name: str, port: int) -> None:
    """Return when the guest does."""
    eventually(lambda: has_port(guests.show(name), port))


def has_port(shown: View, port: int) -> bool:
    return f"tcp/{port}" in shown["ports"]


def state_of(guests: Guests, name: str) -> Path:
    return guests.home.paths.vm_state(guests.row(name)["id"])


def hidden(guests: Guests) -> list[str]:
    root = guests.home.paths.state / "vms"
    return [str(path.relative_to(root)) for path in root.rglob(".banger*")]


def test_a_suspended_vm_goes_on_after_a_reboot_of_the_host(guests: Guests) -> None:
    before = created(guests, "web", 4000)
    suspended = guests.call("vm.suspend", ref="web")
    assert (suspended["vm"]["state"], suspended["pid"]) == ("suspended", None)
    assert (guests.vmms(), guests.masters()) == ([], [])
    shutil.rmtree(guests.home.paths.vm_run(before["vm"]["id"]))
    kill(guests.stack.pid("api"))
    eventually(lambda: guests.state("web") == "suspended")
    eventually(lambda: not guests.supervisor("web"))
    after = guests.call("vm.resume", ref="web")
    assert after["vm"]["state"] == "running"
    assert after["boot_id"] == before["boot_id"]
    eventually(lambda: has_port(guests.show("web"), 4000))
    assert not (state_of(guests, "web") / files.SUSPENDED).exists()
    guests.call("vm.delete", ref="web")


def test_a_suspended_vm_is_left_alone_unless_its_memory_is_to_be_dropped(guests: Guests) -> None:
    before = created(guests, "web", 4000)
    guests.call("vm.suspend", ref="web")
    for verb in ("vm.stop", "vm.kill", "vm.suspend"):
        assert guests.call(verb, ref="web")["vm"]["state"] == "suspended"
    for verb, body in (
        ("vm.restart", {}),
        ("vm.set", {"vcpu": 2}),
        ("vm.set", {"disk_bytes": 128 << 20}),
    ):
        refused = refused_by(guests, verb, ref="web", **body)
        assert refused.code is Code.CONFLICT
    assert guests.call("vm.rename", ref="web", name="site")["vm"]["state"] == "suspended"
    started = guests.call("vm.start", ref="site", discard_memory=True)
    assert started["boot_id"] != before["boot_id"]
    assert not (state_of(guests, "site") / files.SUSPENDED).exists()
    guests.call("vm.delete", ref="site")


def test_memory_that_is_damaged_or_of_another_machine_stays_where_it_is(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("vm.suspend", ref="web")
    memory = state_of(guests, "web") / files.SUSPENDED / files.MEMORY
    content = memory.read_bytes()
    memory.write_bytes(content[:-1] + b"!")
    refused = refused_by(guests, "vm.start", ref="web")
    assert refused.code is Code.INVALID
    memory.write_bytes(content[:-1])
    refused = refused_by(guests, "vm.resume", ref="web")
    assert refused.code is Code.INVALID
    memory.write_bytes(content)
    description = memory.parent / files.SAVED
    text = description.read_text()
    description.write_text(text.replace('"7.2"', '"9.1"'))
    refused = refused_by(guests, "vm.start", ref="web")
    assert refused.code is Code.INCOMPATIBLE
    assert "qemu 9.1" in refused.message
    assert "--discard-memory" in str(refused.hint)
    assert guests.state("web") == "suspended"
    description.write_text(text)
    assert guests.call("vm.start", ref="web")["vm"]["state"] == "running"
    guests.call("vm.delete", ref="web")


def test_a_vm_comes_back_to_its_snapshot(guests: Guests) -> None:
    before = created(guests, "web", 4000)
    made = guests.call("snapshot.create", ref="web", name="one")
    assert (made["memory"], made["pause_seconds"] > 0) == (True, True)
    listening(guests, "web", 5000)
    work = state_of(guests, "web") / files.WORK_DISK
    with work.open("r+b") as disk:
        disk.write(b"changed")
    refused = refused_by(guests, "snapshot.restore", ref="web", name="one")
    assert (refused.code, len(refused.details["lost"])) == (Code.CONFLICT, 2)
    after = guests.call("snapshot.restore", ref="web", name="one", force=True)
    assert after["vm"]["state"] == "running"
    assert after["boot_id"] == before["boot_id"]
    eventually(lambda: has_port(shown := guests.show("web"), 4000) and not has_port(shown, 5000))
    assert not work.read_bytes().startswith(b"changed")
    assert guests.vmms() == [guests.show("web")["pid"]]
    assert guests.call("snapshot.delete", ref="web", names=["one"])["deleted"] == ["one"]
    assert (guests.call("snapshot.list")["snapshots"], hidden(guests)) == ([], [])
    guests.call("vm.delete", ref="web")


def test_disks_alone_are_restored_into_a_stopped_vm(guests: Guests) -> None:
    created(guests, "web", 4000)
    made = guests.call("snapshot.create", ref="web", name="disks", memory=False)
    assert not made["memory"]
    guests.call("vm.stop", ref="web")
    guests.call("snapshot.create", ref="web", name="stopped")
    for name in ("disks", "stopped"):
        restored = guests.call("snapshot.restore", ref="web", name=name, force=True)
        assert restored["vm"]["state"] == "stopped"
    assert guests.call("vm.start", ref="web")["vm"]["state"] == "running"
    guests.call("vm.delete", ref="web")


def test_a_paused_vm_stays_paused(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("vm.pause", ref="web")
    guests.call("snapshot.create", ref="web", name="one")
    assert guests.state("web") == "paused"
    assert guests.call("vm.suspend", ref="web")["vm"]["state"] == "suspended"
    assert guests.call("vm.resume", ref="web")["vm"]["state"] == "running"
    guests.call("vm.delete", ref="web")


def test_a_guest_goes_on_when_it_cannot_be_saved(guests: Guests) -> None:
    guests.script("full", "no-space")
    before = created(guests, "full", 4000)
    for verb, body in (
        ("vm.suspend", {}),
        ("snapshot.create", {"name": "one"}),
        ("vm.fork", {"count": 2}),
    ):
        refused = refused_by(guests, verb, ref="full", **body)
        assert refused.code is Code.NO_SPACE
        shown = listening(guests, "full", 5000)
        assert (shown["vm"]["state"], shown["pid"]) == ("running", before["pid"])
        guests.type("full", "unlisten 5000")
        eventually(lambda: not has_port(guests.show("full"), 5000))
    assert (hidden(guests), len(guests.call("vm.list")["vms"])) == ([], 1)
    guests.call("vm.delete", ref="full")


def test_forks_are_machines_of_their_own(guests: Guests) -> None:
    before = created(guests, "web", 4000)
    forked = guests.call("vm.fork", ref="web", name="copy", count=2)
    assert [fork["name"] for fork in forked["vms"]] == ["copy-1", "copy-2"]
    assert forked["pause_seconds"] > 0
    shown = [guests.show(name) for name in ("web", "copy-1", "copy-2")]
    assert [each["vm"]["state"] for each in shown] == ["running"] * 3
    for field in ("pid", "boot_id"):
        assert len({each[field] for each in shown}) == 3
    assert len({each["vm"]["address"] for each in shown}) == 3
    assert shown[0]["pid"] == before["pid"]
    for name in ("copy-1", "copy-2"):
        listens(guests, name, 4000)
        assert guests.row(name)["origin"] == "fork of web"
    listening(guests, "copy-1", 5000)
    assert not has_port(guests.show("copy-2"), 5000)
    guests.call("vm.delete", ref="web")
    guests.call("vm.suspend", ref="copy-1")
    resumed = guests.call("vm.start", ref="copy-1")
    assert resumed["boot_id"] == shown[1]["boot_id"], "it is itself, not a copy again"
    guests.delete_all()


def test_a_copy_for_one_command_leaves_nothing(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("snapshot.create", ref="web", name="one")
    guests.call("vm.stop", ref="web")
    status, out, err = guests.banger(
        *("vm", "run", "--rm", "--from", "web/one", "--", "sh", "-c", "echo copied")
    )
    assert (status, out) == (0, "copied\n"), err
    assert [view["vm"]["name"] for view in guests.call("vm.list")["vms"]] == ["web"]
    guests.call("vm.delete", ref="web")
    assert guests.leftovers() == NOTHING


def test_a_fork_of_a_stopped_vm_is_stopped_and_boots(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("vm.stop", ref="web")
    forked = guests.call("vm.fork", ref="web", name="copy")
    assert [fork["state"] for fork in forked["vms"]] == ["stopped"]
    assert guests.call("vm.start", ref="copy")["vm"]["state"] == "running"
    guests.delete_all()


def test_an_image_stays_as_long_as_a_snapshot_needs_it(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("snapshot.create", ref="web", name="one")
    guests.call("vm.stop", ref="web")
    for verb in ("image.delete", "kernel.delete"):
        refused = refused_by(guests, verb, ref="debian-bookworm")
        assert refused.code is Code.CONFLICT
    guests.call("vm.delete", ref="web")
