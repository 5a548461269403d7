"""Verbs over several VMs."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, by_ref, resolving, view
from tests.unit.cli.peer import Peer, hold
from tests.waiting import eventually

Begin = Callable[..., Peer]
WEB, DB = view("web"), view("db", "ba9876543210")
RESOLVE = {"vm.resolve": resolving(WEB, DB)}


def test_each_vm_is_asked_for_once_and_named_in_first_seen_order(cli: Cli, peer: Begin) -> None:
    services = peer(RESOLVE | {"vm.delete": by_ref(WEB, DB)})
    ran = cli("vm", "delete", "db", "web", "ba9876543210")
    assert (ran.status, ran.out) == (0, "db\nweb\n")
    asked = [body["ref"] for verb, body in services.calls if verb == "vm.delete"]
    assert asked == ["id=ba9876543210", "id=0123456789ab"]


def test_one_vm_is_asked_for_as_it_was_typed(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.stop": lambda _: WEB})
    ran = cli("vm", "stop", "we", "we", "-q")
    assert (ran.status, ran.out) == (0, "0123456789ab\n")
    assert services.calls == [("vm.stop", {"ref": "we", "timeout": 30.0})]
    assert services.requests == 2, "the first: which services there are"


def test_a_bad_reference_does_not_keep_the_good_from_being_done(cli: Cli, peer: Begin) -> None:
    services = peer(RESOLVE | {"vm.stop": lambda _: WEB})
    ran = cli("vm", "stop", "nope", "web")
    assert (ran.status, ran.out) == (3, "web\n")
    assert ran.err.startswith("error: there is no VM 'nope'\n")
    assert services.verbs() == ["vm.resolve", "vm.stop"]
    assert services.calls[-1][1] == {"ref": "id=0123456789ab", "timeout": 30.0}


def test_one_that_fails_is_told_and_the_others_are_done(cli: Cli, peer: Begin) -> None:
    def start(body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] == "id=0123456789ab":
            raise BangerError(Code.GUEST_FAILED, "web: the guest panicked")
        return DB

    peer(RESOLVE | {"vm.start": start})
    ran = cli("vm", "start", "web", "db", "-o", "json")
    web, db = json.loads(ran.out)
    assert (web["ref"], web["ok"], web["error"]["code"]) == ("web", False, "guest_failed")
    assert db == {"ref": "db", "ok": True, "id": "ba9876543210", "name": "db"}
    assert ran.status == 1


def test_what_is_unavailable_for_a_moment_is_asked_for_again(cli: Cli, peer: Begin) -> None:
    def stop(body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] == "id=0123456789ab" and services.verbs().count("vm.stop") < 3:
            raise BangerError(Code.UNAVAILABLE, "vm:0123456789ab is not running")
        return by_ref(WEB, DB)(body)

    services = peer(RESOLVE | {"vm.stop": stop})
    ran = cli("vm", "stop", "web", "db")
    assert (ran.status, ran.out, ran.err) == (0, "web\ndb\n", "")
    asked = [body["ref"] for verb, body in services.calls if verb == "vm.stop"]
    assert asked == ["id=0123456789ab", "id=ba9876543210", "id=0123456789ab"]


@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "3601"])
def test_a_patience_that_no_clock_can_add_is_a_usage_error(cli: Cli, seconds: str) -> None:
    assert cli("vm", "stop", "web", "--timeout", seconds).status == 2
    assert not cli.run_dir.exists()


def test_no_vm_at_all_is_a_usage_error(cli: Cli) -> None:
    ran = cli("vm", "stop")
    assert ran.status == 2
    assert ran.err.startswith("error: Missing argument 'VM...'")
    assert not cli.run_dir.exists()


@pytest.mark.parametrize("written", ["TERM", "sigterm", "15"])
def test_a_signal_is_sent_by_its_name_however_it_was_written(
    cli: Cli, peer: Begin, written: str
) -> None:
    services = peer({"vm.kill": lambda _: WEB})
    assert cli("vm", "kill", "--signal", written, "web").out == "web\n"
    assert services.calls[-1] == ("vm.kill", {"ref": "web", "signal": "TERM"})


@pytest.mark.parametrize("written", ["FOO", "0", "99"])
def test_an_unknown_signal_is_a_usage_error_that_names_some(cli: Cli, written: str) -> None:
    ran = cli("vm", "kill", "--signal", written, "web")
    assert ran.status == 2
    assert "KILL, TERM, INT" in ran.err
    assert not cli.run_dir.exists()


@pytest.mark.parametrize("verb", ["pause", "resume", "restart", "suspend"])
def test_each_verb_is_asked_of_every_vm(cli: Cli, peer: Begin, verb: str) -> None:
    services = peer(RESOLVE | {f"vm.{verb}": by_ref(WEB, DB)})
    assert cli("vm", verb, "web", "db").out == "web\ndb\n"
    assert services.verbs() == ["vm.resolve", f"vm.{verb}", f"vm.{verb}"]


def test_ctrl_c_cancels_what_is_in_flight_and_tells_what_was_done(cli: Cli, peer: Begin) -> None:
    def stop(body: dict[str, Any]) -> dict[str, Any]:
        return DB if body["ref"] == "id=ba9876543210" else hold(body)

    services = peer(RESOLVE | {"vm.stop": stop})
    process = cli.popen("vm", "stop", "db", "web", "-o", "json", stdout=-1, stderr=-1)
    eventually(lambda: services.verbs().count("vm.stop") == 2, "both are in flight")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)
    db, web = json.loads(out)
    assert process.returncode == 128 + signal.SIGINT
    assert err.startswith(b"Cancelling vm stop.\n")
    assert (web["ok"], web["error"]["code"]) == (False, "cancelled")
    assert (db["ok"], db["name"]) == (True, "db")


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_the_progress_of_one_is_shown_and_its_failure_told(
    cli: Cli, peer: Begin, verb: str
) -> None:
    def answer(_: dict[str, Any]) -> dict[str, Any]:
        services.progress("save", "web (40 %)")
        raise BangerError(Code.NO_SPACE, "web needs 300M", hint="free some")

    services = peer({f"vm.{verb}": answer})
    ran = cli("vm", verb, "web")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "save: web (40 %)\nerror: web needs 300M\nhint: free some\n"


@pytest.mark.parametrize("verb", ["start", "suspend", "resume", "restart"])
def test_the_progress_of_several_is_shown_under_their_names(
    cli: Cli, peer: Begin, verb: str
) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        services.progress("save", "saving")
        services.progress("save", "still saving")
        return by_ref(WEB, DB)(body)

    services = peer(RESOLVE | {f"vm.{verb}": answer})
    ran = cli("vm", verb, "web", "db")
    assert (ran.status, ran.out) == (0, "web\ndb\n")
    assert sorted(ran.err.splitlines()) == ["db: save: saving", "web: save: saving"]


def test_ctrl_c_in_a_suspend_is_a_cancel(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.suspend": hold})
    process = cli.popen("vm", "suspend", "web", stderr=-1)
    eventually(lambda: services.verbs() == ["vm.suspend"], "it is in flight")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGINT
    assert err.startswith(b"Cancelling vm suspend.\n")
    assert services.cancelled.is_set()


def test_a_memory_is_dropped_only_when_asked_for(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.start": lambda _: WEB})
    cli("vm", "start", "web")
    cli("vm", "start", "--discard-memory", "web")
    plain = {"ref": "web", "wait": "ready"}
    assert [body for _, body in services.calls] == [plain, plain | {"discard_memory": True}]
