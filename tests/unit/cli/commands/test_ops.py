"""``banger ops``: what runs on behalf of commands, and what became of it."""

import json
from collections.abc import Callable
from typing import Any

from shared.errors import Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def operation(**fields: Any) -> dict[str, Any]:
    known = {
        "id": "3f2a" * 8,
        "verb": "vm.create",
        "subject": "web",
        "state": "running",
        "stage": "boot",
        "message": "booting",
        "code": "",
        "started_at": "2026-11-22T09:30:00.000Z",
        "ended_at": "",
    }
    return known | fields


def test_operations_are_listed_shown_and_cancelled(cli: Cli, peer: Begin) -> None:
    services = peer(
        {
            "ops.list": lambda _: {"operations": [operation()]},
            "ops.show": lambda _: operation(),
            "ops.cancel": lambda _: operation(state="cancelled", code="cancelled"),
        }
    )
    assert cli("ops", "list").out.splitlines()[1].split() == (
        "3f2a3f2a3f2a vm.create web running boot 2026-11-22 09:30".split()
    )
    assert json.loads(cli("ops", "show", "3f", "-o", "json").out)["message"] == "booting"
    assert "state    cancelled" in cli("ops", "cancel", "3f").out
    assert services.calls[-1] == ("ops.cancel", {"ref": "3f"})


def test_an_unknown_operation_gives_3(cli: Cli, peer: Begin) -> None:
    peer({"ops.cancel": refuse(Code.NOT_FOUND, "there is no operation 'zz'")})
    assert cli("ops", "cancel", "zz").status == 3
