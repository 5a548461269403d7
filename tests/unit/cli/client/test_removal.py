"""Images and kernels are deleted by the api, which refuses those that a VM uses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Answer, Peer

Begin = Callable[..., Peer]


def delete(body: dict[str, Any]) -> dict[str, Any]:
    if body["ref"] == "1" * 16:
        raise BangerError(Code.CONFLICT, "it is used by web", hint="banger vm delete web")
    return {"id": body["ref"]}


def script(kind: str, identity: str) -> dict[str, Answer]:
    return {
        f"{kind}.show": lambda _: {"id": identity, "name": "debian-bookworm"},
        f"{kind}.delete": delete,
    }


@pytest.mark.parametrize("kind", ["image", "kernel"])
def test_what_a_vm_uses_stays_and_the_reason_is_shown(cli: Cli, peer: Begin, kind: str) -> None:
    peer(script(kind, "1" * 16))
    ran = cli(kind, "delete", "debian")
    assert ran.status == 4
    assert ran.err == "error: it is used by web\nhint: banger vm delete web\n"


@pytest.mark.parametrize("kind", ["image", "kernel"])
def test_what_no_vm_needs_is_deleted_by_its_id(cli: Cli, peer: Begin, kind: str) -> None:
    services = peer(script(kind, "f" * 16))
    ran = cli(kind, "rm", "debian")
    assert (ran.status, ran.out) == (0, "debian-bookworm\n")
    assert services.calls[-1] == (f"{kind}.delete", {"ref": "f" * 16})


def test_of_several_those_that_can_be_are_deleted(cli: Cli, peer: Begin) -> None:
    def show(body: dict[str, Any]) -> dict[str, Any]:
        return {"id": {"used": "1" * 16}.get(body["ref"], "f" * 16), "name": body["ref"]}

    services = peer(script("image", "") | {"image.show": show})
    ran = cli("image", "delete", "used", "old", "-o", "json")
    used, old = json.loads(ran.out)
    assert ran.status == 4
    assert (used["ok"], used["error"]["code"]) == (False, "conflict")
    assert old == {"ref": "old", "ok": True, "id": "f" * 16, "name": "old"}
    assert services.calls[-1] == ("image.delete", {"ref": "f" * 16})
