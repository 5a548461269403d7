"""``banger template``: what there is, and how it goes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
TEMPLATE: dict[str, Any] = {
    "key": "3f2a" * 4,
    "image_id": "1" * 16,
    "image_name": "debian-bookworm",
    "kernel_id": "2" * 16,
    "vmm": "qemu",
    "vmm_version": "7.2",
    "accel": "tcg",
    "cpu": "QEMU's default",
    "vcpu": 1,
    "memory_mib": 512,
    "disk_bytes": 8 << 30,
    "overlay_bytes": 8 << 30,
    "made_at": "2026-11-29T11:30:00Z",
    "used_at": "2026-11-29T12:30:00Z",
    "uses": 7,
    "real_bytes": 150 << 20,
    "pool": 1,
    "problems": [],
}
ITEM = {"kind": "template", "name": TEMPLATE["key"], "real_bytes": 150 << 20}


@pytest.fixture
def services(peer: Begin) -> Peer:
    return peer(
        {
            "template.list": lambda _: {"templates": [TEMPLATE], "next": ""},
            "template.show": lambda _: TEMPLATE,
            "template.prune": lambda _: {"pruned": [ITEM], "more": 0, "real_bytes": 150 << 20},
        }
    )


def test_a_row_for_each_and_fields_as_json(cli: Cli, services: Peer) -> None:
    header, row = cli("template", "ls").out.splitlines()
    assert header.split() == "KEY IMAGE VCPU MEM DISK SIZE USES USED PROBLEM".split()
    assert row.split()[:7] == [TEMPLATE["key"], *"debian-bookworm 1 512M 8G 150M 7".split()]
    assert json.loads(cli("template", "list", "-o", "json").out) == [TEMPLATE]
    assert cli("template", "list", "-q").out == f"{TEMPLATE['key']}\n"


def test_one_is_shown_by_the_beginning_of_its_key(cli: Cli, services: Peer) -> None:
    out = cli("template", "show", "3f2a").out
    assert "waiting   1\n" in out
    assert "vmm       qemu 7.2\n" in out
    assert services.calls == [("template.show", {"ref": "3f2a"})]


def test_what_is_pruned_is_said(cli: Cli, services: Peer) -> None:
    ran = cli("template", "prune", "--all", "--dry-run")
    assert (ran.out, ran.err) == (f"{TEMPLATE['key']}\n", "1 template, 150M\n")
    assert services.calls == [("template.prune", {"all": True, "dry_run": True})]
    assert json.loads(cli("template", "prune", "-o", "json").out)["pruned"] == [ITEM]


def test_nothing_to_prune_is_said(cli: Cli, peer: Begin) -> None:
    peer({"template.prune": lambda _: {"pruned": [], "more": 0, "real_bytes": 0}})
    ran = cli("template", "prune")
    assert (ran.status, ran.out, ran.err) == (0, "", "Nothing to prune.\n")
