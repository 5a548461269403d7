"""``vm workspace status``, ``diff`` and ``list``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.commands.vm.workspace.answers import changes, exported, workspace, writing
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
PATCH = b"diff --git a/made b/made\n--- /dev/null\n+++ b/made\n@@ -0,0 +1 @@\n+\x1b[2Jnew\n"


def status(**fields: Any) -> dict[str, Any]:
    return {
        "workspace": workspace(),
        "guest": [],
        "guest_more": 0,
        "guest_commits": 0,
        "guest_branch": "",
        "host": [],
        "host_more": 0,
        "host_commit": "a" * 40,
        "host_problem": "",
    } | fields


def test_changes_of_both_sides_are_a_table(cli: Cli, peer: Begin) -> None:
    told = status(
        guest=[
            *changes(("added", "made\x1b[2J")),
            {"kind": "renamed", "path": "new", "old_path": "old"},
        ],
        guest_more=7,
        guest_commits=2,
        guest_branch="try",
        host=changes(("modified", "edited")),
        host_commit="b" * 40,
    )
    peer({"workspace.status": lambda _: told})
    ran = cli("vm", "workspace", "status", "web")
    assert ran.out.splitlines() == [
        "WHERE  CHANGE    PATH",
        "guest  added     made\ufffd[2J",
        "guest  renamed   old -> new",
        "host   modified  edited",
    ]
    assert ran.err.splitlines() == [
        "and 7 more changes in the guest's files",
        "2 commits were made in the guest on try",
        "the host's repository is at bbbbbbbbbbbb",
    ]


def test_no_change_is_said_and_no_data(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.status": lambda _: status(host_problem="it is gone")})
    ran = cli("vm", "workspace", "status", "web", "--guest-path", "/root/a")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "warning: the host's repository cannot be read: it is gone",
        "nothing has changed since it was prepared",
    ]
    assert services.calls[-1][1] == {"ref": "web", "guest_path": "/root/a"}


def test_names_of_changed_files_and_json(cli: Cli, peer: Begin) -> None:
    peer({"workspace.status": lambda _: status(guest=changes(("added", "a"), ("deleted", "b")))})
    assert cli("vm", "workspace", "status", "web", "-o", "name").out == "a\nb\n"
    told = json.loads(cli("vm", "workspace", "status", "web", "-o", "json").out)
    assert told["guest"][1]["kind"] == "deleted"


def test_a_diff_that_is_read_by_a_program_is_the_patch_itself(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.export": writing(PATCH, exported(notices=["left out: a FIFO"]))})
    process = cli.popen("vm", "workspace", "diff", "web", stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=30)
    assert (out, err) == (PATCH, b"left out: a FIFO\n")
    assert services.calls[-1][1]["since_prepare"] is True


@pytest.mark.parametrize("pager", ["cat", "sed s/^/PAGED/", "no-such-pager"])
def test_a_diff_on_a_terminal_is_paged_harmless_and_coloured(
    cli: Cli, peer: Begin, pager: str
) -> None:
    peer({"workspace.export": writing(PATCH, exported())})
    cli.env |= {"BANGER_PAGER": pager, "PAGER": "false"}
    shown = cli.on_terminal(["vm", "workspace", "diff", "web"], []).out
    assert "\x1b[32m+\ufffd[2Jnew" in shown
    assert ("PAGED" in shown) == (pager != "cat" and pager.startswith("sed"))


def test_no_colour_where_none_is_wanted(cli: Cli, peer: Begin) -> None:
    peer({"workspace.export": writing(PATCH, exported())})
    cli.env |= {"BANGER_PAGER": "cat", "NO_COLOR": "1"}
    assert "\x1b" not in cli.on_terminal(["vm", "workspace", "diff", "web"], []).out


def test_workspaces_of_all_vms_or_of_one(cli: Cli, peer: Begin) -> None:
    web = view("web", workspaces=[workspace(), workspace(guest_path="/root/b", commit="", branch="",
                                                        prepared_at="")])  # fmt: skip
    services = peer({"vm.list": lambda _: {"vms": [web, view("db")]}, "vm.show": lambda _: web})
    assert cli("vm", "workspace", "list").out.splitlines() == [
        "VM   GUEST PATH  HOST PATH  COMMIT        BRANCH  PREPARED",
        "web  /root/repo  /src/app   aaaaaaaaaaaa  main    2026-11-29 09:30",
        "web  /root/b     /src/app   -             -       -",
    ]
    assert cli("vm", "workspace", "ls", "web", "-o", "name").out == "web:/root/repo\nweb:/root/b\n"
    assert services.verbs() == ["vm.list", "vm.show"]
    told = json.loads(cli("vm", "workspace", "list", "web", "-o", "json").out)
    assert [(each["vm"], each["guest_path"]) for each in told] == [
        ("web", "/root/repo"),
        ("web", "/root/b"),
    ]
