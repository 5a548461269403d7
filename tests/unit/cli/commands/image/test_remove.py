"""``banger image prune``: what would go is said first. Deletion is in test_library.py."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
FOUND: dict[str, Any] = {
    "pruned": [{"kind": "download", "name": "sha256:" + "a" * 64, "real_bytes": 3 << 20}],
    "more": 2,
    "real_bytes": 5 << 20,
}
NOTHING: dict[str, Any] = {"pruned": [], "more": 0, "real_bytes": 0}
PRUNE: dict[str, Any] = {"image.prune": lambda _: FOUND}


def test_a_dry_run_asks_for_nothing_else(cli: Cli, peer: Begin) -> None:
    services = peer(PRUNE)
    ran = cli("image", "prune", "--dry-run")
    assert (ran.status, ran.err) == (0, "3 things, 5M\n")
    assert ran.out.splitlines()[1].split() == ["download", "sha256:" + "a" * 64, "3M"]
    assert json.loads(cli("image", "prune", "--dry-run", "-o", "json").out) == FOUND
    assert services.calls == [("image.prune", {"dry_run": True})] * 2


def test_force_deletes_at_once(cli: Cli, peer: Begin) -> None:
    services = peer(PRUNE)
    assert cli("image", "prune", "-f", "-o", "name").out == "sha256:" + "a" * 64 + "\n"
    assert services.calls == [("image.prune", {"dry_run": False})]


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1)])
def test_without_it_somebody_is_asked(cli: Cli, peer: Begin, answer: bytes, status: int) -> None:
    services = peer(PRUNE)
    ran = cli.on_terminal(["image", "prune"], [(b"[y/N]", answer)])
    assert ran.status == status
    assert "Delete 3 things, 5M?" in ran.out
    assert [body["dry_run"] for _, body in services.calls] == [True, False][: 2 - status]


def test_nobody_there_to_ask_is_an_error_with_the_way_out(cli: Cli, peer: Begin) -> None:
    peer(PRUNE)
    ran = cli("image", "prune")
    assert ran.status == 2
    assert "hint: delete without confirmation: banger image prune -f" in ran.err


def test_nothing_to_prune_needs_no_answer(cli: Cli, peer: Begin) -> None:
    peer({"image.prune": lambda _: NOTHING})
    ran = cli("image", "prune")
    assert (ran.status, ran.out, ran.err) == (0, "", "Nothing to prune.\n")
