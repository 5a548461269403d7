"""``vm run PATH``: planned before there is a VM, placed, taken out, and nothing lost."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.contract.reference import by_id
from shared.errors import Code
from tests.scripted.ssh_sessions import Guest
from tests.unit.cli.commands.vm.workspace.answers import (
    applied,
    exported,
    plan,
    prepared,
    workspace,
    writing,
)
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Answer, Peer, hold, refuse
from tests.waiting import eventually

Begin = Callable[..., Peer]
pytestmark = pytest.mark.usefixtures("guest")
WEB = view("web")
TOOLS = [
    "tools: go 1.22 (go.mod)",
    "the tools are not installed: that needs --nat",
]


@pytest.fixture
def place(cli: Cli) -> Path:
    """The guest's directory, which is one of this machine."""
    place = cli.root / "placed"
    place.mkdir()
    return place


@pytest.fixture
def script(place: Path) -> dict[str, Answer]:
    placed = prepared(workspace=workspace(guest_path=str(place)), notices=[TOOLS[1], "late news"])
    return {
        "workspace.plan": lambda _: plan(),
        "vm.create": lambda _: WEB,
        "workspace.prepare": lambda _: placed,
        "workspace.export": writing(b"a patch\n", exported()),
        "workspace.apply": lambda _: applied(),
        "vm.keep": lambda _: WEB,
        "vm.delete": lambda _: WEB,
        "vm.show": lambda _: WEB,
    }


def test_a_command_runs_where_the_repository_is(
    cli: Cli, peer: Begin, script: dict[str, Answer], place: Path
) -> None:
    services = peer(script)
    ran = cli("vm", "run", ".", "--rm", "--branch", "try", "--", "sh", "-c", "pwd; exit 42")
    assert (ran.status, ran.out) == (42, f"{place}\n")
    assert services.verbs() == ["workspace.plan", "vm.create", "workspace.prepare", "vm.delete"]
    assert ran.err.splitlines() == [
        *TOOLS,
        f"workspace: {place} is /src/app at aaaaaaaaaaaa: 12 files (2K sent)",
        "late news",
    ]
    chosen = {"path": str(cli.root), "branch": "try"}
    assert services.calls[0][1] == {"outside": False, **chosen}
    assert services.calls[2][1] == {
        "ref": by_id(WEB["vm"]["id"]),
        "wait_for_tools": False,
        **chosen,
    }


def test_a_shell_starts_there_too(
    cli: Cli, peer: Begin, script: dict[str, Answer], place: Path
) -> None:
    peer(script)
    cli.env["SHELL"] = "/bin/sh"  # as sshd sets it
    ran = cli("vm", "run", "--nat", ".", stdin=b"pwd; exit 3")
    assert (ran.status, ran.out) == (3, f"{place}\n")


def test_a_detached_vm_is_prepared_with_its_tools(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(script)
    ran = cli("vm", "run", "-d", ".", "--nat")
    assert (ran.status, ran.out) == (0, "web\n")
    assert services.verbs() == ["workspace.plan", "vm.create", "workspace.prepare"]
    assert services.calls[0][1]["outside"] is True
    assert services.calls[2][1]["wait_for_tools"] is True


def test_a_refusal_comes_before_there_is_a_vm(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    refused = refuse(Code.CONFLICT, "branch try exists", hint="choose another")
    services = peer(script | {"workspace.plan": refused})
    assert cli("vm", "run", ".", "--branch", "try").status == 4
    assert cli("vm", "run", ".", "--export", "no/such/file", "--", "true").status == 3
    assert services.verbs() == ["workspace.plan"]


def test_a_dry_run_creates_nothing(cli: Cli, peer: Begin, script: dict[str, Answer]) -> None:
    services = peer(script | {"workspace.plan": writing(b"README\0", plan())})
    ran = cli("vm", "run", ".", "--dry-run", "--rm", "--", "true")
    assert ran.status == 0
    assert ran.out.endswith("\nREADME\n")
    assert services.verbs() == ["workspace.plan"]


@pytest.mark.parametrize(
    "args",
    [
        ["--branch", "b"],
        ["--full"],
        ["--include-untracked"],
        ["--guest-path", "/x"],
        ["--no-bootstrap"],
        ["--dry-run"],
        ["--export", "f"],
        ["--apply", "--", "true"],
        [".", "--branch-from", "main"],
        ["--branch", "b", "--from", "main"],
        [".", "-d", "--apply"],
        [".", "-d", "--export", "f"],
        [".", "--export", "-"],
        [".", "other"],
    ],
)
def test_what_makes_no_sense_is_refused_at_once(cli: Cli, args: list[str]) -> None:
    ran = cli("vm", "run", *args)
    assert ran.status == 2
    assert not cli.run_dir.exists()


def test_a_forgotten_dash_dash_is_told(cli: Cli) -> None:
    ran = cli("vm", "run", "ls")
    assert ran.status == 3
    assert "hint: a command for the guest comes after --" in ran.err
    assert not cli.run_dir.exists()


@pytest.mark.parametrize("status", [0, 42])
def test_what_was_done_is_taken_out_before_the_vm_is_deleted(
    cli: Cli, peer: Begin, script: dict[str, Answer], status: int
) -> None:
    services = peer(script)
    words = ["--rm", "--export", "web.patch", "--apply", "--", "sh", "-c", f"exit {status}"]
    ran = cli("vm", "run", ".", *words)
    assert ran.status == status
    assert services.verbs()[3:] == ["workspace.export", "workspace.apply", "vm.delete"]
    assert (cli.root / "web.patch").read_text() == "a patch\n"
    assert ran.err.endswith("applied to /src/app: 2 changed files\n")


@pytest.mark.parametrize(("command", "status"), [("exit 0", 1), ("exit 42", 42)])
@pytest.mark.parametrize("step", ["workspace.export", "workspace.apply"])
def test_nothing_is_lost_when_it_cannot_be_taken_out(
    cli: Cli, peer: Begin, script: dict[str, Answer], command: str, status: int, step: str
) -> None:
    services = peer(script | {step: refuse(Code.CONFLICT, "a and b do not go together")})
    words = ["--rm", "--export", "web.patch", "--apply", "--", "sh", "-c", command]
    ran = cli("vm", "run", ".", *words)
    assert ran.status == status
    assert services.verbs()[-1] == "vm.keep"
    assert "vm.delete" not in services.verbs()
    assert ran.err.splitlines()[-2:] == [
        "error: a and b do not go together",
        "Keeping web despite --rm: what was done in it was not taken out. Try again with: "
        "banger vm workspace export web; delete it with: banger vm delete web",
    ]


def test_what_a_command_did_that_was_ended_is_taken_out(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(script)
    words = ["--rm", "--apply", "--timeout", "0.2", "--", "sleep", "60"]
    assert cli("vm", "run", ".", *words).status == 7
    assert services.verbs()[3:] == ["workspace.apply", "vm.delete"]


def test_ctrl_c_while_it_is_taken_out_keeps_the_vm(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(script | {"workspace.apply": hold})
    process = cli.popen("vm", "run", ".", "--rm", "--apply", "--", "true", stderr=-1)
    eventually(lambda: "workspace.apply" in services.verbs())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert services.verbs()[-1] == "vm.keep"
    assert process.stderr
    assert b"Keeping web despite --rm" in process.stderr.read()


def test_ctrl_c_while_it_is_placed_deletes_the_vm(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(script | {"workspace.prepare": hold})
    process = cli.popen("vm", "run", ".", "--rm", "--apply", "--", "true", stderr=-1)
    eventually(lambda: "workspace.prepare" in services.verbs())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert services.verbs()[-1] == "vm.delete"
    assert services.cancelled.wait(10)


def test_a_vm_whose_repository_could_not_be_placed_is_left_and_named(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(
        script | {"workspace.prepare": refuse(Code.NO_SPACE, "the guest's disk is full")}
    )
    for words in ([".", "-d"], [".", "--", "true"]):
        ran = cli("vm", "run", *words)
        assert ran.status == 1
        assert "web is still running. Stop it with: banger vm stop web\n" in ran.err
    assert cli("vm", "run", ".", "--rm", "--", "true").status == 1
    assert services.verbs()[-1] == "vm.delete"


def test_a_lost_vm_that_cannot_give_its_changes_is_kept(
    cli: Cli, peer: Begin, script: dict[str, Answer], guest: Guest
) -> None:
    stopped: dict[str, Any] = view("web", state="stopped")
    services = peer(
        script
        | {
            "workspace.apply": refuse(Code.NOT_RUNNING, "web is stopped, not running"),
            "vm.show": lambda _: stopped,
        }
    )
    process = cli.popen(
        "vm", "run", ".", "--rm", "--apply", "--", "sh", "-c", "echo up; exec sleep 60",
        stdout=-1, stderr=-1,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    guest.lose()
    assert process.wait(30) == 125
    assert services.verbs()[-1] == "vm.keep"


@pytest.mark.parametrize(
    ("words", "start", "source"),
    [
        (["--branch", "b", "--from", "main", "--image", "alpine"], "main", None),
        (["--branch", "b", "--branch-from", "main"], "main", None),
        (["--branch", "b", "--branch-from", "main", "--from", "web/a"], "main", ("web", "a")),
        (["--from", "web"], None, ("web", "")),
    ],
)
def test_from_is_a_revision_only_where_a_branch_needs_one(
    cli: Cli,
    peer: Begin,
    script: dict[str, Answer],
    words: list[str],
    start: str | None,
    source: tuple[str, str] | None,
) -> None:
    services = peer(script)
    assert cli("vm", "run", "--rm", ".", *words, "--", "true").status == 0
    bodies = dict(services.calls)
    assert bodies["workspace.prepare"].get("start") == start
    created = bodies["vm.create"]
    copied = (created["from_vm"], created["from_snapshot"]) if "from_vm" in created else None
    assert copied == source


@pytest.fixture
def copied(script: dict[str, Answer], place: Path) -> dict[str, Answer]:
    """The new VM is a copy of one that has a workspace."""
    made = view("web", workspaces=[workspace(guest_path=str(place))])
    return script | dict.fromkeys(("vm.create", "vm.show", "vm.delete"), lambda _: made)


def test_a_command_runs_in_the_workspace_of_a_copy(
    cli: Cli, peer: Begin, copied: dict[str, Answer], place: Path
) -> None:
    services = peer(copied)
    ran = cli("vm", "run", "--rm", "--from", "db/ready", "--", "pwd")
    assert (ran.status, ran.out) == (0, f"{place}\n")
    assert services.verbs() == ["vm.create", "vm.delete"]


def test_a_copy_gives_its_changes_back_without_a_path(
    cli: Cli, peer: Begin, copied: dict[str, Answer], place: Path
) -> None:
    services = peer(copied)
    words = ("--export", "web.patch", "--apply", "--", "sh", "-c", "pwd; exit 3")
    ran = cli("vm", "run", "--rm", "--from", "db/ready", *words)
    assert (ran.status, ran.out) == (3, f"{place}\n")
    verbs = ["vm.create", "workspace.export", "workspace.apply", "vm.delete"]
    assert services.verbs() == verbs
    assert services.calls[2][1]["guest_path"] == str(place)


def test_a_copy_without_a_workspace_gives_nothing_back_and_says_so(
    cli: Cli, peer: Begin, script: dict[str, Answer]
) -> None:
    services = peer(script)
    ran = cli("vm", "run", "--rm", "--from", "db", "--apply", "--", "true")
    assert ran.status == 3
    assert "error: web has no workspace\n" in ran.err
    assert services.verbs() == ["vm.create", "vm.delete"]
