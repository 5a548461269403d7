"""Outcomes of several requests: their order, their exit status, how they are printed."""

import json

import pytest

from cli.client.batch import ask_each, ask_exactly, print_outcomes, report_failures
from cli.terminal.output import Settings
from shared.bus.record import Record
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, by_ref, resolving, view
from tests.unit.cli.peer import Peer

WEB, DB = Record(id="0123456789ab", name="web"), Record(id="ba9876543210", name="db")
AWAY = BangerError(Code.UNAVAILABLE, "db is away")
UNKNOWN = BangerError(Code.NOT_FOUND, "there is no VM 'nope'", hint="list them")


@pytest.fixture
def services(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A scripted peer that this process asks."""
    for name in ("BANGER_RUN_DIR", "HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, cli.env[name])
    views = (view("web"), view("db", "ba9876543210"))
    return Peer(cli.paths, {"vm.resolve": resolving(*views), "vm.pause": by_ref(*views)})


def names(outcomes: dict[str, object]) -> dict[str, str]:
    return {
        ref: str(each.code) if isinstance(each, BangerError) else each.vm.name  # type: ignore[attr-defined]
        for ref, each in outcomes.items()
    }


def test_several_references_are_resolved_once_and_keep_their_order(services: Peer) -> None:
    with services:
        outcomes = ask_each(["db", "nope", "web", "db"], lambda ref: api.VM_PAUSE(ref=ref))
    assert names(dict(outcomes)) == {"db": "db", "nope": "not_found", "web": "web"}
    assert services.verbs() == ["vm.resolve", "vm.pause", "vm.pause"]


def test_ids_are_asked_for_without_being_resolved(services: Peer) -> None:
    with services:
        outcomes = ask_exactly(["0123456789ab"], lambda ref: api.VM_PAUSE(ref=ref))
    assert names(dict(outcomes)) == {"0123456789ab": "web"}
    assert services.verbs() == ["vm.pause"]


def test_the_first_failure_is_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = {"nope": UNKNOWN, "web": WEB, "db": AWAY}
    assert report_failures(outcomes, Settings()) == ([WEB], 3)
    assert capsys.readouterr().err.splitlines() == [
        "error: there is no VM 'nope'",
        "hint: list them",
        "error: db is away",
    ]


@pytest.mark.parametrize(("quiet", "printed"), [(False, "web\n"), (True, "0123456789ab\n")])
def test_what_was_done_is_printed_by_name_or_id(
    capsys: pytest.CaptureFixture[str], quiet: bool, printed: str
) -> None:
    assert print_outcomes({"web": WEB, "db": AWAY}, Settings(), "table", quiet=quiet) == 6
    assert capsys.readouterr().out == printed


def test_json_has_an_entry_for_each_reference(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcomes({"w": WEB, "db": AWAY}, Settings(json_errors=True), "json", quiet=False)
    assert json.loads(capsys.readouterr().out) == [
        {"ref": "w", "ok": True, "id": "0123456789ab", "name": "web"},
        {"ref": "db", "ok": False, "error": AWAY.to_wire()},
    ]
