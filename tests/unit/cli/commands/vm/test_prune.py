"""``vm prune``: what is shown, what is asked, what is spared."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, by_ref, view
from tests.unit.cli.peer import Answer, Peer

Begin = Callable[..., Peer]
VMS = [view("created", "0" * 12, state="created"), view("failed", "1" * 12, state="failed")]
VMS[1]["snapshots"] = 3
SCRIPT: dict[str, Answer] = {
    "vm.prunable": lambda _: {"vms": VMS},
    "vm.delete": by_ref(*VMS),
}


def test_all_that_do_not_run_are_shown_and_deleted(cli: Cli, peer: Begin) -> None:
    services = peer(SCRIPT)
    ran = cli("vm", "prune", "-f")
    assert (ran.status, ran.out) == (0, "created\nfailed\n")
    assert [line.split()[1] for line in ran.err.splitlines()] == ["NAME", "created", "failed"]
    assert [line.split()[-1] for line in ran.err.splitlines()] == ["SNAPSHOTS", "-", "3"]
    assert services.calls[1:] == [
        ("vm.delete", {"ref": "id=" + "0" * 12, "unless_live": True}),
        ("vm.delete", {"ref": "id=" + "1" * 12, "unless_live": True}),
    ]


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


def test_what_was_started_meanwhile_is_kept_and_that_is_no_failure(cli: Cli, peer: Begin) -> None:
    def delete(body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] == "id=" + "0" * 12:
            raise BangerError(Code.CONFLICT, "created is running")
        return by_ref(*VMS)(body)

    peer(SCRIPT | {"vm.delete": delete})
    ran = cli("vm", "prune", "-f", "-o", "json")
    assert ran.status == 0
    assert [each["name"] for each in json.loads(ran.out)] == ["failed"]
    assert "Keeping created: it was started in the meantime." in ran.err


def test_nothing_to_delete_is_success(cli: Cli, peer: Begin) -> None:
    peer({"vm.prunable": lambda _: {"vms": []}})
    ran = cli("vm", "prune", "-o", "json")
    assert (ran.status, json.loads(ran.out)) == (0, [])
