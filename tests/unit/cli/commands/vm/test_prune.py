"""``vm prune``: what is shown, what is asked, what is spared."""

import json
from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Answer, Peer

Begin = Callable[..., Peer]
STATES = ("created", "starting", "running", "paused", "stopping", "stopped", "failed")
VMS = [view(state, f"{number:012x}", state=state) for number, state in enumerate(STATES)]
SCRIPT: dict[str, Answer] = {"vm.list": lambda _: {"vms": VMS}, "vm.delete": lambda _: VMS[0]}
DELETED = ["created", "stopped", "failed"]


def test_all_that_do_not_run_are_shown_and_deleted(cli: Cli, peer: Begin) -> None:
    services = peer(SCRIPT)
    ran = cli("vm", "prune", "-f")
    assert (ran.status, ran.out.split()) == (0, DELETED)
    assert [line.split()[1] for line in ran.err.splitlines()] == ["NAME", *DELETED]
    assert services.verbs().count("vm.delete") == 3


def test_without_a_terminal_to_ask_on_nothing_is_deleted(cli: Cli, peer: Begin) -> None:
    services = peer(SCRIPT)
    ran = cli("vm", "prune")
    assert ran.status == 2
    assert "banger vm prune -f" in ran.err
    assert "vm.delete" not in services.verbs()


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_a_person_is_asked_and_no_is_the_default(
    cli: Cli, peer: Begin, answer: str, status: int
) -> None:
    services = peer(SCRIPT)
    ran = cli.on_terminal(["vm", "prune"], [(b"[y/N]: ", f"{answer}\n".encode())])
    assert ran.status == status
    assert ("vm.delete" in services.verbs()) is (status == 0)


def test_what_was_started_meanwhile_is_spared(cli: Cli, peer: Begin) -> None:
    listings = [[view("web", state="stopped")], [view("web", state="running")]]
    rows = iter([*listings, listings[-1]])
    services = peer(SCRIPT | {"vm.list": lambda _: {"vms": next(rows)}})
    assert cli("vm", "prune", "-f").out == ""
    assert "vm.delete" not in services.verbs()


def test_nothing_to_delete_is_success(cli: Cli, peer: Begin) -> None:
    peer(SCRIPT | {"vm.list": lambda _: {"vms": [view("web")]}})
    ran = cli("vm", "prune", "-o", "json")
    assert (ran.status, json.loads(ran.out)) == (0, [])
