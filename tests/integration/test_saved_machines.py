"""Suspend, snapshots and forks by real services, with guests that remember what they listen on."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.bus.envelope import Kind
from shared.errors import BangerError, Code
from shared.vm import files
from tests.integration.guests import (
    NOTHING,
    Guests,
    View,
    finals,
    kill,
    new_guests,
    stage_reached,
)
from tests.integration.peer import Peer, Silence, error_of
from tests.waiting import eventually


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests("boot_timeout = 20.0") as guests:
        yield guests


def created(guests: Guests, name: str, port: int) -> View:
    """A running VM whose guest has the UDP port ``port`` open, which it remembers."""
    guests.create(name)
    return listening(guests, name, port)


def listening(guests: Guests, name: str, port: int) -> View:
    guests.type(name, f"bind-udp {port}")
    eventually(lambda: has_port(guests, name, port))
    return guests.show(name)


def refused_by(guests: Guests, verb: str, **body: Any) -> BangerError:
    return error_of(lambda: guests.call(verb, **body))


def listens(guests: Guests, name: str, port: int) -> None:
    """Return when the guest does."""
    eventually(lambda: has_port(guests, name, port))


def has_port(guests: Guests, name: str, port: int) -> bool:
    """Whether the guest has the port open. It is asked now: ``vm.show`` has what was found a second
    ago, and a TCP port would be asked for HTTP first."""
    try:
        ports = guests.call("vm.ports", ref=name)["ports"]
    except (BangerError, Silence):
        return False
    return any(each["guest_port"] == port for each in ports)


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
    eventually(lambda: has_port(guests, "web", 4000))
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
    eventually(lambda: has_port(guests, "web", 4000) and not has_port(guests, "web", 5000))
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
        guests.type("full", "unbind-udp 5000")
        eventually(lambda: not has_port(guests, "full", 5000))
    assert (hidden(guests), len(guests.call("vm.list")["vms"])) == ([], 1)
    guests.call("vm.delete", ref="full")


SAVES: list[tuple[str, dict[str, Any]]] = [
    ("vm.suspend", {}),
    ("snapshot.create", {"name": "one"}),
    ("vm.fork", {"count": 2}),
]


def broken_off(guests: Guests, end: Callable[[Peer, bytes], None], verb: str, **body: Any) -> Code:
    """Ask for a save that does not end, and do ``end`` to it; returns what the caller is told."""
    with guests.peer() as peer:
        asked = peer.ask("api", verb, {"ref": "slow", **body}, seconds=20)
        stage_reached(peer, asked, "saving")
        eventually(lambda: hidden(guests))
        end(peer, asked)
        return error_of(lambda: peer.final(asked)).code


def test_a_vmm_that_is_killed_while_it_is_saved_leaves_nothing(guests: Guests) -> None:
    guests.script("slow", "endless-save")
    created(guests, "slow", 4000)
    for verb, body in SAVES:
        (vmm,) = guests.vmms()
        told = broken_off(guests, lambda *_: kill(vmm), verb, **body)  # noqa: B023
        assert told is Code.NOT_RUNNING, verb
        eventually(lambda: guests.state("slow") in ("stopped", "failed"))
        eventually(lambda: (guests.vmms(), guests.masters(), hidden(guests)) == ([], [], []))
        assert len(guests.call("vm.list")["vms"]) == 1
        assert guests.call("snapshot.list")["snapshots"] == []
        assert not (state_of(guests, "slow") / files.SUSPENDED).exists()
        assert guests.call("vm.start", ref="slow")["vm"]["state"] == "running"
    guests.call("vm.delete", ref="slow")


def test_a_guest_goes_on_when_its_save_is_cancelled(guests: Guests) -> None:
    def cancel(peer: Peer, asked: bytes) -> None:
        peer.ask("api", verb, request_id=asked, kind=Kind.CANCEL)

    guests.script("slow", "endless-save")
    before = created(guests, "slow", 4000)
    for verb, body in SAVES:
        assert broken_off(guests, cancel, verb, **body) is Code.CANCELLED
        shown = listening(guests, "slow", 5000)
        assert (shown["vm"]["state"], shown["pid"]) == ("running", before["pid"])
        guests.type("slow", "unbind-udp 5000")
        eventually(lambda: not has_port(guests, "slow", 5000))
        assert (hidden(guests), len(guests.call("vm.list")["vms"])) == ([], 1)
    guests.call("vm.delete", ref="slow")


def test_a_guest_goes_on_when_its_supervisor_is_killed_while_it_is_saved(guests: Guests) -> None:
    """QEMU is at the save still, and would stop the guest at its end."""
    guests.script("slow", "endless-save")
    before = created(guests, "slow", 4000)
    with guests.peer() as peer:
        asked = peer.ask("api", "vm.suspend", {"ref": "slow"}, seconds=20)
        stage_reached(peer, asked, "saving")
        eventually(lambda: hidden(guests))
        kill(old := guests.supervisor("slow"))
        eventually(lambda: guests.supervisor("slow") not in (0, old))
        # The api asks the successor for the same, which is at it by now.
        eventually(lambda: hidden(guests))
        peer.ask("api", "vm.suspend", request_id=asked, kind=Kind.CANCEL)
        assert error_of(lambda: peer.final(asked)).code is Code.CANCELLED
    shown = listening(guests, "slow", 5000)
    assert (shown["vm"]["state"], shown["pid"]) == ("running", before["pid"])
    assert hidden(guests) == []
    guests.call("vm.delete", ref="slow")


def test_a_suspended_vm_is_deleted_with_all_that_it_has(guests: Guests) -> None:
    created(guests, "web", 4000)
    guests.call("snapshot.create", ref="web", name="one")
    guests.call("vm.suspend", ref="web")
    guests.call("vm.delete", ref="web")
    assert guests.leftovers() == NOTHING


def test_of_two_restores_at_once_each_is_done(guests: Guests) -> None:
    before = created(guests, "web", 4000)
    guests.call("snapshot.create", ref="web", name="one")
    body = {"ref": "web", "name": "one", "force": True}
    with guests.peer() as peer:
        asked = [peer.ask("api", "snapshot.restore", body, seconds=20) for _ in range(2)]
        for answer in finals(peer, asked).values():
            assert not isinstance(answer, BangerError), answer
            assert answer["vm"]["state"] == "running"
    shown = guests.show("web")
    assert shown["boot_id"] == before["boot_id"]
    assert (guests.vmms(), hidden(guests)) == ([shown["pid"]], [])
    guests.call("vm.delete", ref="web")


def test_what_a_snapshot_lacks_is_told_before_anything_is_done(guests: Guests) -> None:
    """Of a damaged memory, another VMM, processor or image: by list and show, and to whoever
    restores or forks it. The disks may be had all the same."""
    before = created(guests, "web", 4000)
    guests.call("snapshot.create", ref="web", name="one")
    directory = state_of(guests, "web") / files.SNAPSHOTS / "one"
    memory, description = directory / files.MEMORY, directory / files.SAVED
    content = memory.read_bytes()

    def other(**facts: str) -> bytes:
        return json.dumps(json.loads(description.read_text()) | facts).encode()

    changes = [
        (memory, content[:-1] + b"!", Code.INVALID, "the content of memory has changed"),
        (memory, content[:-1], Code.INVALID, "bytes instead of"),
        (description, other(vmm_version="9.1"), Code.INCOMPATIBLE, "saved by qemu 9.1"),
        (description, other(cpu="a VIA"), Code.INCOMPATIBLE, "its processor was a VIA"),
        (description, other(image_digest="sha256:00"), Code.INCOMPATIBLE, "its image was"),
    ]
    for path, changed, code, words in changes:
        kept = path.read_bytes()
        path.write_bytes(changed)
        shown = guests.call("snapshot.show", ref="web", name="one")
        assert any(words in problem for problem in shown["problems"]), (words, shown)
        for verb, body in (
            ("snapshot.restore", {"name": "one", "force": True}),
            ("vm.fork", {"snapshot": "one"}),
        ):
            refused = refused_by(guests, verb, ref="web", **body)
            assert refused.code is code, refused
            assert words in refused.message
        path.write_bytes(kept)
    assert guests.show("web")["pid"] == before["pid"]
    assert (hidden(guests), len(guests.call("vm.list")["vms"])) == ([], 1)
    memory.write_bytes(content[:-1])
    alone = {"ref": "web", "name": "one", "memory": False, "force": True}
    assert guests.call("snapshot.restore", **alone)["vm"]["state"] == "stopped"
    guests.call("vm.delete", ref="web")


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
    assert not has_port(guests, "copy-2", 5000)
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
