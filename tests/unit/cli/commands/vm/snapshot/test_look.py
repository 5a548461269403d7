"""``banger vm snapshot list`` and ``show``."""

import json
from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.snapshot.answers import shot
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
DISKS = shot("disks", memory=False, vmm="", vmm_version="", cpu="", copied="reflink")
DAMAGED = shot("old", problems=["the saved machine in /s/old is damaged: memory is missing"])


def test_the_snapshots_of_one_vm_are_listed(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.list": lambda _: {"snapshots": [shot(), DISKS], "next": ""}})
    ran = cli("vm", "snapshot", "ls", "web")
    header, clean, disks = (line.split() for line in ran.out.splitlines())
    assert header == ["VM", "NAME", "MEMORY", "SIZE", "CREATED"]
    assert clean == ["web", "clean", "512M", "150M", "2026-11-29", "11:30"]
    assert disks[:3] == ["web", "disks", "-"]
    assert services.calls == [("snapshot.list", {"ref": "web"})]


def test_those_of_all_vms_are_told_apart_by_their_vm(cli: Cli, peer: Begin) -> None:
    shots = [shot(), shot(vm="db")]
    services = peer({"snapshot.list": lambda _: {"snapshots": shots, "next": ""}})
    assert cli("vm", "snapshot", "list", "-q").out == "web/clean\ndb/clean\n"
    assert json.loads(cli("vm", "snapshot", "list", "-o", "json").out) == shots
    assert services.calls[0][1] == {"ref": ""}


def test_a_snapshot_that_is_damaged_is_warned_of(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.list": lambda _: {"snapshots": [shot(), DAMAGED], "next": ""}})
    ran = cli("vm", "snapshot", "list", "-o", "name")
    assert ran.out == "clean\nold\n"
    assert ran.err == f"warning: web/old: {DAMAGED['problems'][0]}\n"


@pytest.mark.parametrize("words", [["web", "old"], ["web/old"]])
def test_one_is_shown_with_what_is_wrong_with_it(cli: Cli, peer: Begin, words: list[str]) -> None:
    services = peer({"snapshot.show": lambda _: DAMAGED})
    rows = dict(line.split(maxsplit=1) for line in cli("vm", "snapshot", "show", *words)
                .out.splitlines())  # fmt: skip
    assert rows["problem"] == DAMAGED["problems"][0]
    assert (rows["vmm"], rows["image"]) == ("qemu 7.2.0", "debian-bookworm")
    assert services.calls == [("snapshot.show", {"ref": "web", "name": "old"})]


def test_disks_alone_have_no_vmm(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.show": lambda _: DISKS})
    ran = cli("vm", "snapshot", "show", "web", "disks")
    rows = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert (rows["memory"], rows["vmm"], rows["cpu"], rows["copied"]) == ("-", "-", "-",
        "by reflink")  # fmt: skip


def test_one_that_is_not_there_is_not_found(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.show": refuse(Code.NOT_FOUND, "web has no snapshot 'x'")})
    assert cli("vm", "snapshot", "show", "web", "x").status == 3
