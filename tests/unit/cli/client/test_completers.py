"""What Tab offers: live names, and nothing at all when the services are down."""

from collections.abc import Callable

import pytest

from tests.unit.cli.commands.vm.snapshot.answers import shot
from tests.unit.cli.commands.vm.workspace.answers import workspace
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
LISTING = {"vms": [view("web"), view("wax", "ba9876543210", state="stopped")]}


def offered(cli: Cli, *words: str) -> list[str]:
    """The completions of the last word in bash, as "type,value"."""
    line = {"COMP_WORDS": " ".join(["banger", *words]), "COMP_CWORD": str(len(words))}
    return cli(env={"_BANGER_COMPLETE": "bash_complete", **line}).out.split()


@pytest.fixture
def services(peer: Begin) -> Peer:
    operations = {"operations": [{"id": "3f2a"}, {"id": "77aa"}]}
    return peer({"vm.list": lambda _: LISTING, "ops.list": lambda _: operations})


def test_what_acts_on_any_vm_offers_all(cli: Cli, services: Peer) -> None:
    assert offered(cli, "vm", "start", "w") == ["plain,web", "plain,wax"]


@pytest.mark.parametrize("verb", ["console", "ports", "health", "stats"])
def test_what_needs_a_running_vm_offers_those(cli: Cli, services: Peer, verb: str) -> None:
    assert offered(cli, "vm", verb, "w") == ["plain,web"]


def test_a_copy_offers_vms_with_a_colon_else_files(cli: Cli, services: Peer) -> None:
    assert offered(cli, "vm", "cp", "w") == ["plain,web:"]
    assert offered(cli, "vm", "cp", "./w") == ["file,./w"]


def test_workspaces_of_the_vm_and_files_are_offered(cli: Cli, peer: Begin) -> None:
    web = view("web", workspaces=[workspace(), workspace(guest_path="/srv/a")])
    peer({"vm.list": lambda _: {"vms": [web, view("db", workspaces=[workspace()])]}})
    line = ("vm", "workspace", "sync", "web", "--guest-path", "/")
    assert offered(cli, *line) == ["plain,/root/repo", "plain,/srv/a"]
    assert offered(cli, "vm", "workspace", "export", "web", "-o", "x") == ["file,x"]
    assert offered(cli, "vm", "run", "sr") == ["file,sr"]


def test_operations_and_signals_are_offered(cli: Cli, services: Peer) -> None:
    assert offered(cli, "ops", "cancel", "3") == ["plain,3f2a"]
    assert offered(cli, "vm", "kill", "--signal", "t") == ["plain,TERM"]


def test_nothing_is_offered_and_nothing_started_without_services(cli: Cli) -> None:
    assert offered(cli, "vm", "start", "w") == []
    assert not cli.run_dir.exists()


def test_snapshots_of_the_vm_are_offered_once(cli: Cli, peer: Begin) -> None:
    shots = {"snapshots": [shot("clean"), shot("clear"), shot("old")], "next": ""}
    services = peer({"snapshot.list": lambda _: shots})
    assert offered(cli, "vm", "snapshot", "show", "web", "cl") == ["plain,clean", "plain,clear"]
    line = ("vm", "snapshot", "delete", "web", "clean", "cl")
    assert offered(cli, *line) == ["plain,clear"]
    assert services.calls == [("snapshot.list", {"ref": "web"})] * 2


@pytest.mark.parametrize(
    "line", [("vm", "run", "--from"), ("vm", "fork"), ("vm", "snapshot", "show")]
)
def test_what_can_be_copied_is_a_vm_or_one_of_its_snapshots(
    cli: Cli, peer: Begin, line: tuple[str, ...]
) -> None:
    shots = {"snapshots": [shot("clean"), shot("old")], "next": ""}
    services = peer({"vm.list": lambda _: LISTING, "snapshot.list": lambda _: shots})
    assert offered(cli, *line, "w") == ["plain,web", "plain,wax"]
    assert offered(cli, *line, "web/c") == ["plain,web/clean"]
    assert services.calls[-1] == ("snapshot.list", {"ref": "web"})
