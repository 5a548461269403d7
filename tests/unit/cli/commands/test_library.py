"""What ``banger image`` and ``banger kernel`` do alike: list, show, delete."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shared.contract.messages.image import Image
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
LIBRARY: dict[str, dict[str, Any]] = {
    "image": msgspec.to_builtins(
        Image(
            id="1" * 16,
            name="debian-bookworm",
            arch="x86_64",
            created="2026-11-22T09:30:00Z",
            source="the catalogue",
            size=72 << 20,
            path="/images/1",
            names=["debian-bookworm"],
        )
    ),
    "kernel": {
        "id": "2" * 16,
        "name": "debian-bookworm",
        "version": "6.1.0-9-cloud-amd64",
        "arch": "x86_64",
        "created": "2026-11-22T09:30:00Z",
        "source": "the catalogue",
        "size": 40 << 20,
        "path": "/kernels/2",
    },
}
kinds = pytest.mark.parametrize("kind", ["image", "kernel"])


def listing(kind: str, **fields: Any) -> dict[str, Any]:
    return {f"{kind}s": [LIBRARY[kind]], "available": [], "broken": []} | fields


def delete(body: dict[str, Any]) -> dict[str, Any]:
    if body["ref"] == "used":
        raise BangerError(Code.CONFLICT, "it is used by web", hint="banger vm delete web")
    return {"id": "f" * 16, "name": body["ref"]}


@kinds
def test_a_listing_shows_each_on_a_line(cli: Cli, peer: Begin, kind: str) -> None:
    peer({f"{kind}.list": lambda _: listing(kind)})
    assert cli(kind, "ls").out.splitlines()[1].split()[:2] == [
        LIBRARY[kind]["id"],
        "debian-bookworm",
    ]
    assert json.loads(cli(kind, "list", "-o", "json").out) == [LIBRARY[kind]]


def test_an_image_whose_names_others_have_taken_is_shown_without(cli: Cli, peer: Begin) -> None:
    older = LIBRARY["image"] | {"names": []}
    peer({"image.list": lambda _: {"images": [older], "available": [], "broken": []}})
    assert cli("image", "ls").out.splitlines()[1].split()[:2] == [older["id"], "-"]


@kinds
def test_a_directory_that_cannot_be_read_is_named_beside_the_listing(
    cli: Cli, peer: Begin, kind: str
) -> None:
    broken = [{"path": "/images/3", "problem": "no manifest"}]
    peer({f"{kind}.list": lambda _: listing(kind, broken=broken)})
    ran = cli(kind, "list", "-o", "name")
    assert (ran.status, ran.out) == (0, "debian-bookworm\n")
    assert ran.err == "warning: /images/3: no manifest\n"


@kinds
def test_the_catalogue_has_names_for_ids(cli: Cli, peer: Begin, kind: str) -> None:
    offer = {"name": "debian-trixie", "description": "Debian 13"}
    peer({f"{kind}.list": lambda _: listing(kind, available=[offer])})
    shown = json.loads(cli(kind, "list", "--available", "-o", "json").out)
    assert shown == [{"id": "debian-trixie", **offer}]


@kinds
def test_one_is_shown_with_its_source(cli: Cli, peer: Begin, kind: str) -> None:
    services = peer({f"{kind}.show": lambda _: LIBRARY[kind]})
    assert "the catalogue" in cli(kind, "show", "deb").out
    assert services.calls == [(f"{kind}.show", {"ref": "deb"})]


@kinds
def test_what_a_vm_uses_stays_and_the_reason_is_shown(cli: Cli, peer: Begin, kind: str) -> None:
    peer({f"{kind}.delete": delete})
    ran = cli(kind, "delete", "used")
    assert ran.status == 4
    assert ran.err == "error: it is used by web\nhint: banger vm delete web\n"


@kinds
def test_of_several_those_that_can_be_are_deleted(cli: Cli, peer: Begin, kind: str) -> None:
    services = peer({f"{kind}.delete": delete})
    ran = cli(kind, "rm", "used", "old", "old", "-o", "json")
    used, old = json.loads(ran.out)
    assert ran.status == 4
    assert (used["ok"], used["error"]["code"]) == (False, "conflict")
    assert old == {"ref": "old", "ok": True, "id": "f" * 16, "name": "old"}
    assert services.calls == [(f"{kind}.delete", {"ref": ref}) for ref in ("used", "old")]
