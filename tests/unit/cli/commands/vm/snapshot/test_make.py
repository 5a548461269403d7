"""``banger vm snapshot create``: what is asked for, and what is said of it."""

import json
from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.snapshot.answers import shot
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Body, Peer, refuse

Begin = Callable[..., Peer]


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["web"], {"ref": "web", "name": None, "memory": True}),
        (["web", "clean"], {"ref": "web", "name": "clean", "memory": True}),
        (["web/clean"], {"ref": "web", "name": "clean", "memory": True}),
        (["web", "clean", "--disk"], {"ref": "web", "name": "clean", "memory": False}),
    ],
)
def test_what_was_given_is_asked_for(cli: Cli, peer: Begin, words: list[str], body: Body) -> None:
    services = peer({"snapshot.create": lambda _: shot(memory=body["memory"])})
    ran = cli("vm", "snapshot", "create", *words)
    assert (ran.status, ran.err) == (0, "")
    assert services.calls == [("snapshot.create", body)]


def test_the_snapshot_is_shown_and_its_id_is_how_others_take_it(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.create": lambda _: shot()})
    rows = dict(line.split(maxsplit=1) for line in cli(*MAKE).out.splitlines())
    assert (rows["name"], rows["memory"], rows["size"]) == ("clean", "512M", "150M")
    assert (rows["pause"], rows["copied"]) == ("0.12 s", "as sparse files")
    assert cli(*MAKE, "-q").out == "web/clean\n"
    assert cli(*MAKE, "-o", "name").out == "clean\n"
    assert json.loads(cli(*MAKE, "-o", "json").out) == shot()


MAKE = ("vm", "snapshot", "create", "web", "clean")


def test_a_vm_that_does_not_run_gives_its_disks_and_that_is_said(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.create": lambda _: shot(memory=False, vmm="", vmm_version="")})
    ran = cli(*MAKE)
    assert ran.err == "web is not running: the snapshot has only its disks.\n"
    assert cli(*MAKE, "--disk").err == ""


def test_progress_goes_to_stderr(cli: Cli, peer: Begin) -> None:
    def create(_: Body) -> Body:
        services.progress("save", "saving the memory of web")
        return shot()

    services = peer({"snapshot.create": create})
    assert cli(*MAKE, "-q").err == "save: saving the memory of web\n"


def test_what_is_refused_is_told_with_its_exit_status(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.create": refuse(Code.NO_SPACE, "web needs 300M", hint="free some")})
    ran = cli(*MAKE)
    assert (ran.status, ran.err) == (1, "error: web needs 300M\nhint: free some\n")


@pytest.mark.parametrize("words", [["web", "A b"], ["web/a", "b"], []])
def test_a_bad_name_is_a_usage_error(cli: Cli, words: list[str]) -> None:
    assert cli("vm", "snapshot", "create", *words).status == 2
    assert not cli.run_dir.exists()
