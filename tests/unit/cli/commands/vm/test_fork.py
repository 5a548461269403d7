"""``banger vm fork``."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from cli.commands.vm.fork import MOST
from shared.contract.messages.snapshot import MOST_FORKS
from shared.errors import Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Body, Late, Peer, refuse
from tests.waiting import eventually

Begin = Callable[..., Peer]


def forked(*names: str, **fields: Any) -> dict[str, Any]:
    """A Forked of VMs whose ids are their numbers."""
    vms = [
        {"id": f"{number:012}", "name": name, "state": "running", "address": "127.77.0.3"}
        for number, name in enumerate(names)
    ]
    return {"vms": vms, "pause_seconds": 0.03, "copied": "sparse", **fields}


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["web"], {"ref": "web", "count": 1}),
        (["web", "try"], {"ref": "web", "count": 1, "name": "try"}),
        (["web", "try", "-n", "3"], {"ref": "web", "count": 3, "name": "try"}),
        (["web/clean"], {"ref": "web", "count": 1, "snapshot": "clean"}),
        (["web", "--label", "a=b"], {"ref": "web", "count": 1, "labels": {"a": "b"}}),
    ],
)
def test_what_was_given_is_asked_for(cli: Cli, peer: Begin, words: list[str], body: Body) -> None:
    services = peer({"vm.fork": lambda _: forked("try")})
    assert cli("vm", "fork", *words).status == 0
    assert services.calls == [("vm.fork", body)]


def test_the_new_vms_are_named_and_the_pause_of_the_first_is_said(cli: Cli, peer: Begin) -> None:
    peer({"vm.fork": lambda _: forked("try-1", "try-2")})
    ran = cli("vm", "fork", "web", "try", "-n", "2")
    assert ran.out == "try-1\ntry-2\n"
    assert ran.err == "web was paused for 0.03 s\n"
    assert cli("vm", "fork", "web", "try", "-n", "2", "-q").out == f"{0:012}\n{1:012}\n"
    answer = json.loads(cli("vm", "fork", "web", "-o", "json").out)
    assert [vm["name"] for vm in answer["vms"]] == ["try-1", "try-2"]


def test_a_vm_that_did_not_run_did_not_stand_still(cli: Cli, peer: Begin) -> None:
    peer({"vm.fork": lambda _: forked("try", pause_seconds=0.0)})
    assert cli("vm", "fork", "web", "try").err == ""


@pytest.mark.parametrize("count", ["0", "101", "many"])
def test_a_number_that_cannot_be_is_a_usage_error(cli: Cli, count: str) -> None:
    assert cli("vm", "fork", "web", "-n", count).status == 2
    assert not cli.run_dir.exists()


def test_the_number_is_limited_as_the_contract_limits_it() -> None:
    assert MOST == MOST_FORKS


def test_what_there_is_no_room_for_is_refused(cli: Cli, peer: Begin) -> None:
    peer({"vm.fork": refuse(Code.NO_SPACE, "100 forks of web need 5G of memory")})
    ran = cli("vm", "fork", "web", "-n", "100")
    assert (ran.status, ran.out) == (1, "")


def test_forks_that_were_there_before_the_signal_are_named(cli: Cli, peer: Begin) -> None:
    def late(_: Body) -> Body:
        raise Late(forked("try-1", "try-2"))

    services = peer({"vm.fork": late})
    process = cli.popen("vm", "fork", "web", "try", "-n", "2", stderr=-1)
    eventually(lambda: services.verbs() == ["vm.fork"], "it was asked for")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGINT
    assert b"Delete: banger vm delete try-1 try-2" in err
