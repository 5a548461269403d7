"""``vm ssh`` and ``vm exec``: whose words are whose."""

from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.workspace.answers import workspace
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
pytestmark = pytest.mark.usefixtures("guest")


@pytest.fixture
def web(peer: Begin) -> Peer:
    return peer({"vm.access": lambda _: view("web")})


def test_ssh_takes_a_command_without_dashes(cli: Cli, web: Peer) -> None:
    assert cli("vm", "ssh", "web", "sh", "-c", "echo $0 hi").out == "sh hi\n"


def test_ssh_without_a_command_is_a_login_shell(cli: Cli, web: Peer) -> None:
    assert cli("vm", "ssh", "web", stdin=b"echo in; exit 3").status == 3


def test_exec_starts_in_the_first_workspace_and_ssh_does_not(cli: Cli, peer: Begin) -> None:
    (cli.root / "work").mkdir()
    placed = [workspace(guest_path=str(cli.root / "work")), workspace(guest_path="/usr")]
    peer({"vm.access": lambda _: view("web", workspaces=placed)})
    assert cli("vm", "exec", "web", "--", "pwd").out == f"{cli.root}/work\n"
    assert cli("vm", "exec", "web", "-w", "/usr", "--", "pwd").out == "/usr\n"
    assert cli("vm", "ssh", "web", "pwd").out != f"{cli.root}/work\n"


def test_exec_runs_what_the_image_makes_of_the_command(cli: Cli, peer: Begin) -> None:
    made = {
        "argv": ["sh", "-c", 'echo "$STAGE $(pwd)"'],
        "env": {"STAGE": "image"},
        "workdir": "/usr",
        "user": "",
        "image_workdir": True,
        "image_env": True,
    }
    services = peer({"vm.access": lambda _: view("web") | {"command": made}})
    assert cli("vm", "exec", "web", "-e", "A=b", "-w", "/", "--", "x", "y").out == "image /usr\n"
    command = {"argv": ["x", "y"], "env": {"A": "b"}, "workdir": "/"}
    assert services.calls == [("vm.access", {"ref": "web", "command": command})]
    cli("vm", "ssh", "web", "true")
    assert services.calls[1:] == [("vm.access", {"ref": "web"})]


def test_a_workspace_that_is_gone_is_no_obstacle(cli: Cli, peer: Begin) -> None:
    gone = view("web", workspaces=[workspace(guest_path="/nonexistent")])
    peer({"vm.access": lambda _: gone})
    ran = cli("vm", "exec", "web", "--", "sh", "-c", "exit 3")
    assert ran.status == 3
    assert "cannot enter /nonexistent" in ran.err


@pytest.mark.parametrize("words", [["exec", "web", "--", "true"], ["ssh", "web", "true"]])
def test_what_one_should_know_is_said_before_the_command(
    cli: Cli, peer: Begin, words: list[str]
) -> None:
    moved = view("web") | {"notices": ["the repository has moved\x1b[2J"]}
    peer({"vm.access": lambda _: moved})
    assert cli("vm", *words).err == "the repository has moved\ufffd[2J\n"


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "web", "ls", "-la"],
        ["exec", "web", "ls"],
        ["exec", "web", "-l"],
        ["run", "make", "test"],
        ["run", "ls", "-l"],
    ],
)
def test_a_command_without_dashes_is_told_where_it_goes(cli: Cli, words: list[str]) -> None:
    ran = cli("vm", *words)
    assert ran.status == 2
    assert "Put the guest command after --" in ran.err
    assert not cli.run_dir.exists()


def test_what_is_mistyped_before_the_dashes_is_told_as_that(cli: Cli) -> None:
    assert "Did you mean" in cli("vm", "run", "--memry", "4G").err
    assert "guest command" not in cli("vm", "run", "-x", "--", "true").err
    assert "Unexpected argument 'oops'" in cli("vm", "exec", "web", "oops", "--", "true").err


def test_ssh_refuses_an_option_after_the_vm_unless_it_is_the_guests(cli: Cli, web: Peer) -> None:
    ran = cli("vm", "ssh", "web", "-t", "top")
    assert ran.status == 2
    assert "-t must come before VM" in ran.err
    assert cli("vm", "ssh", "web", "--", "-t").status == 127


def test_an_option_of_the_guests_command_does_not_change_our_errors(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": refuse(Code.NOT_FOUND, "there is no VM 'web'")})
    ran = cli("vm", "ssh", "web", "journalctl", "-o", "json")
    assert ran.err == "error: there is no VM 'web'\n"


def test_exec_without_a_command_is_a_usage_error(cli: Cli) -> None:
    ran = cli("vm", "exec", "web")
    assert ran.status == 2
    assert "after --" in ran.err


def test_a_vm_that_does_not_run_gives_5_and_how_to_start_it(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": lambda _: view("web", state="stopped")})
    ran = cli("vm", "exec", "web", "--", "true")
    assert ran.status == 5
    assert ran.err == "error: web is stopped\nhint: start it: banger vm start web\n"


def test_no_such_vm_gives_3(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": refuse(Code.NOT_FOUND, "there is no VM 'web'")})
    assert cli("vm", "exec", "web", "--", "true").status == 3
