"""``vm workspace export``: into a file, to stdout, into the repository."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.workspace.answers import applied, exported, writing
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer, hold, refuse
from tests.waiting import eventually

Begin = Callable[..., Peer]


def test_the_patch_goes_to_stdout(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.export": writing(b"a patch\n", exported())})
    ran = cli("vm", "workspace", "export", "web", "--base-commit", "abc", "--since-prepare")
    assert (ran.status, ran.out, ran.err) == (0, "a patch\n", "")
    body = services.calls[-1][1]
    assert {key: body[key] for key in ("ref", "format", "base", "since_prepare")} == {
        "ref": "web",
        "format": "patch",
        "base": "abc",
        "since_prepare": True,
    }


def test_a_file_appears_whole_and_replaces_another(cli: Cli, peer: Begin) -> None:
    peer({"workspace.export": writing(b"new\n", exported())})
    (cli.root / "web.patch").write_text("old")
    assert cli("vm", "workspace", "export", "web", "-o", "web.patch").out == ""
    assert (cli.root / "web.patch").read_text() == "new\n"


def test_nothing_appears_and_nothing_is_lost_when_it_fails(cli: Cli, peer: Begin) -> None:
    def fail(body: dict[str, Any]) -> dict[str, Any]:
        writing(b"half", {})(body)
        return refuse(Code.LOST, "web was stopped during the transfer")(body)

    peer({"workspace.export": fail})
    (cli.root / "kept").write_text("old")
    assert cli("vm", "workspace", "export", "web", "-o", "kept").status == 125
    assert cli("vm", "workspace", "export", "web", "-o", "new").status == 125
    ran = cli("vm", "workspace", "export", "web")
    assert (ran.status, ran.out) == (125, "")
    assert (cli.root / "kept").read_text() == "old"
    names = [path.name for path in cli.root.iterdir()]
    assert not [name for name in names if "new" in name or "banger" in name]


def test_ctrl_c_cancels_and_leaves_no_file(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.export": hold})
    process = cli.popen("vm", "workspace", "export", "web", "-o", "new", stderr=-1)
    eventually(lambda: services.verbs() == ["workspace.export"])
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not (cli.root / "new").exists()


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["-o", "no/such/file"], 3),
        (["-o", "."], 4),
        (["-o", "x", "--apply"], 2),
        (["--apply", "--base-commit", "abc"], 2),
        (["--worktree", "w", "--since-prepare"], 2),
        (["--apply", "--format", "files"], 2),
        (["--format", "zip"], 2),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    cli: Cli, peer: Begin, args: list[str], status: int
) -> None:
    services = peer({})
    assert cli("vm", "workspace", "export", "web", *args).status == status
    assert services.calls == []


@pytest.mark.parametrize(
    ("content", "args", "words"),
    [
        (b"bell \x07\n", [], "control characters"),
        (b"\xff\n", [], "control characters"),
        (b"", ["--format", "files"], "not written to a terminal"),
    ],
)
def test_a_terminal_gets_nothing_that_harms_it(
    cli: Cli, peer: Begin, content: bytes, args: list[str], words: str
) -> None:
    peer({"workspace.export": writing(content, exported())})
    ran = cli.on_terminal(["vm", "workspace", "export", "web", *args], [])
    assert ran.status == 2
    assert words in ran.out
    assert "bell" not in ran.out


def test_a_patch_of_text_is_shown_on_a_terminal(cli: Cli, peer: Begin) -> None:
    peer({"workspace.export": writing("+\tgrün\n".encode(), exported())})
    assert "+\tgrün" in cli.on_terminal(["vm", "workspace", "export", "web"], []).out


def test_an_archive_goes_into_a_pipe(cli: Cli, peer: Begin) -> None:
    peer(
        {"workspace.export": writing(b"\0tar\xff", exported(changes=[], notices=["one left out"]))}
    )
    process = cli.popen(
        "vm", "workspace", "export", "web", "--format", "files", stdout=-1, stderr=-1
    )
    out, err = process.communicate(timeout=30)
    assert out == b"\0tar\xff"
    assert err == b"one left out\nnothing has changed: the export is empty\n"


def test_changes_are_applied_to_the_repository(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.apply": lambda _: applied(commits=2)})
    ran = cli("vm", "workspace", "export", "web", "--apply", "--format", "commits")
    assert ran.out == "added     made\ndeleted   gone\n"
    assert ran.err == "applied to /src/app: 2 commits, 2 changed files\n"
    body = {"ref": "web", "guest_path": "", "worktree": "", "commits": True}
    assert services.calls == [("workspace.apply", body)]


def test_a_worktree_is_named_absolutely(cli: Cli, peer: Begin) -> None:
    services = peer({"workspace.apply": lambda _: applied(changes=[])})
    assert cli("vm", "workspace", "export", "web", "--worktree", "../w").status == 0
    assert services.calls[-1][1]["worktree"] == str(cli.root.parent / "w")


def test_a_conflict_is_reported_with_its_names(cli: Cli, peer: Begin) -> None:
    peer({"workspace.apply": refuse(Code.CONFLICT, "a and b do not go together")})
    assert cli("vm", "workspace", "export", "web", "--apply").status == 4
