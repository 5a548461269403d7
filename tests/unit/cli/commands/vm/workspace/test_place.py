"""``vm workspace prepare`` and ``sync``: what is asked for, and what is said of it."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.workspace.answers import plan, prepared, workspace, writing
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, hold, refuse
from tests.waiting import eventually

Begin = Callable[..., Peer]
PLACE: dict[str, Any] = {
    "workspace.prepare": lambda _: prepared(),
    "workspace.sync": lambda _: prepared(files=1, removed=2),
}


def test_the_repository_around_the_current_directory_is_placed(cli: Cli, peer: Begin) -> None:
    services = peer(PLACE)
    ran = cli("vm", "workspace", "prepare", "web")
    assert ran.out == "web:/root/repo  /src/app at aaaaaaaaaaaa: 12 files (2K sent)\n"
    (_, body) = services.calls[-1]
    assert body == {"ref": "web", "path": str(cli.root), "force": False}


def test_only_what_was_chosen_is_sent(cli: Cli, peer: Begin) -> None:
    services = peer(PLACE)
    (cli.root / "sub").mkdir()
    words = "--guest-path /srv/a --branch try --from main --include-untracked --full --no-bootstrap"
    assert cli("vm", "workspace", "prepare", "web", "sub", *words.split(), "--force").status == 0
    assert services.calls[-1][1] == {
        "ref": "web",
        "path": str(cli.root / "sub"),
        "guest_path": "/srv/a",
        "branch": "try",
        "start": "main",
        "include_untracked": True,
        "full": True,
        "bootstrap": False,
        "force": True,
    }


def test_a_place_is_printed_as_cp_takes_it_or_as_json(cli: Cli, peer: Begin) -> None:
    peer(PLACE)
    assert cli("vm", "workspace", "prepare", "web", "-o", "name").out == "web:/root/repo\n"
    told = json.loads(cli("vm", "workspace", "sync", "web", "-o", "json").out)
    assert (told["files"], told["workspace"]["host_path"]) == (1, "/src/app")


def test_a_sync_names_the_workspace_that_is_meant(cli: Cli, peer: Begin) -> None:
    services = peer(PLACE)
    ran = cli("vm", "workspace", "sync", "web", "--guest-path", "/root/a", "--force")
    assert ran.out.endswith(": 1 file, 2 removed (2K sent)\n")
    assert services.calls[-1][1] == {"ref": "web", "guest_path": "/root/a", "force": True}


def test_notices_and_the_log_of_tools_go_to_stderr(cli: Cli, peer: Begin) -> None:
    answer = prepared(
        notices=["4 untracked files were left out\x1b[2J"],
        tools_log="/var/log/tools.log",
        workspace=workspace(commit=""),
    )
    peer({"workspace.prepare": lambda _: answer})
    ran = cli("vm", "workspace", "prepare", "web")
    assert ran.err.splitlines() == [
        "4 untracked files were left out\ufffd[2J",
        "tools: see their log with: banger vm exec web -- tail -f /var/log/tools.log",
    ]
    assert "/src/app: 12 files" in ran.out


@pytest.mark.parametrize(
    "args",
    [
        ["prepare"],
        ["prepare", "web", ".", "more"],
        ["prepare", "web", "--from", "main"],
        ["sync", "web", "more"],
    ],
)
def test_what_makes_no_sense_is_refused_at_once(cli: Cli, args: list[str]) -> None:
    ran = cli("vm", "workspace", *args)
    assert ran.status == 2
    assert not cli.run_dir.exists()


def test_a_path_that_is_not_there_is_named(cli: Cli) -> None:
    ran = cli("vm", "workspace", "prepare", "web", "nowhere")
    assert (ran.status, ran.err.splitlines()[0]) == (3, "error: there is no directory nowhere")


def test_a_path_that_is_no_utf_8_is_named(cli: Cli, peer: Begin) -> None:
    peer(PLACE)
    directory = b"caf\xe9".decode(errors="surrogateescape")
    (cli.root / directory).mkdir()
    ran = cli("vm", "workspace", "prepare", "web", directory)
    assert (ran.status, "is not UTF-8" in ran.err) == (2, True)


def test_a_conflict_has_its_exit_status_and_names(cli: Cli, peer: Begin) -> None:
    refused = refuse(Code.CONFLICT, "the guest has changed a, b", hint="--force overwrites them")
    peer({"workspace.sync": refused})
    ran = cli("vm", "workspace", "sync", "web")
    assert ran.status == 4
    assert ran.err == "error: the guest has changed a, b\nhint: --force overwrites them\n"


def test_ctrl_c_cancels_the_transfer(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.prepare": hold})
    process = cli.popen("vm", "workspace", "prepare", "web", stderr=-1)
    eventually(lambda: services.verbs() == ["workspace.prepare"])
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert services.cancelled.wait(10)
    assert process.stderr
    assert process.stderr.read() == b"Cancelling workspace prepare.\n"


DRY = {
    "vm.show": lambda _: view("web", nat=True),
    "workspace.plan": writing(b"README\0caf\xe9\0new\nline\0", plan()),
}


def test_a_dry_run_prints_plan_and_files_and_sends_nothing(cli: Cli, peer: Begin) -> None:
    services = peer(DRY)
    ran = cli("vm", "workspace", "prepare", "web", "--dry-run")
    assert ran.out.splitlines() == [
        "repository  /src/app at aaaaaaaaaaaa",
        "guest       /root/repo on main",
        "history     shallow: 10 commits",
        "files       12, of these 3 sent (2K)",
        "left out    4 untracked (--include-untracked sends them)",
        "",
        "README",
        "caf\ufffd",
        "new line",
    ]
    assert ran.err.splitlines() == [
        "tools: go 1.22 (go.mod)",
        "the tools are not installed: that needs --nat",
    ]
    assert services.verbs() == ["vm.show", "workspace.plan"]
    assert services.calls[-1][1]["outside"] is True


def test_the_files_of_a_plan_alone_or_as_json(cli: Cli, peer: Begin) -> None:
    peer(DRY)
    told = json.loads(cli("vm", "workspace", "prepare", "web", "--dry-run", "-o", "json").out)
    assert told["paths"] == ["README", "caf\udce9", "new\nline"]
    assert told["mode"] == "shallow"
    process = cli.popen("vm", "workspace", "prepare", "web", "--dry-run", "-o", "name", stdout=-1)
    assert process.stdout
    assert process.stdout.read() == b"README\ncaf\xe9\nnew\nline\n"
