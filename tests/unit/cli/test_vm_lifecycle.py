"""Verbs over several VMs."""

import json
from collections.abc import Callable
from typing import Any

from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
WEB, DB = view("web"), view("db", "ba9876543210")
LISTING = {"vms": [WEB, DB]}


def test_each_vm_is_asked_for_once_and_named_in_first_seen_order(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: LISTING, "vm.delete": lambda _: WEB})
    ran = cli("vm", "delete", "db", "web", "ba9876543210")
    assert (ran.status, ran.out) == (0, "db\nweb\n")
    asked = [body["ref"] for verb, body in services.calls if verb == "vm.delete"]
    assert asked == ["ba9876543210", "0123456789ab"]


def test_a_bad_reference_does_not_keep_the_good_from_being_done(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: LISTING, "vm.stop": lambda _: WEB})
    ran = cli("vm", "stop", "nope", "web")
    assert (ran.status, ran.out) == (3, "web\n")
    assert ran.err.startswith("error: there is no VM 'nope'\n")
    assert services.verbs() == ["vm.list", "vm.stop"]
    assert services.calls[-1][1] == {"ref": "0123456789ab", "timeout": 30.0}


def test_one_that_fails_is_told_and_the_others_are_done(cli: Cli, peer: Begin) -> None:
    def start(body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] == "0123456789ab":
            raise BangerError(Code.GUEST_FAILED, "web: the guest panicked")
        return DB

    peer({"vm.list": lambda _: LISTING, "vm.start": start})
    ran = cli("vm", "start", "web", "db", "-o", "json")
    web, db = json.loads(ran.out)
    assert (web["ref"], web["ok"], web["error"]["code"]) == ("web", False, "guest_failed")
    assert db == {"ref": "db", "ok": True, "id": "ba9876543210", "name": "db"}
    assert ran.status == 1


def test_what_is_unavailable_for_a_moment_is_asked_for_again(cli: Cli, peer: Begin) -> None:
    def stop(body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] == "0123456789ab" and services.verbs().count("vm.stop") < 3:
            raise BangerError(Code.UNAVAILABLE, "vm:0123456789ab is not running")
        return WEB

    services = peer({"vm.list": lambda _: LISTING, "vm.stop": stop})
    ran = cli("vm", "stop", "web", "db")
    assert (ran.status, ran.out, ran.err) == (0, "web\ndb\n", "")
    asked = [body["ref"] for verb, body in services.calls if verb == "vm.stop"]
    assert asked == ["0123456789ab", "ba9876543210", "0123456789ab"]


def test_no_vm_at_all_is_a_usage_error(cli: Cli) -> None:
    ran = cli("vm", "stop")
    assert ran.status == 2
    assert ran.err.startswith("error: Missing argument 'VM...'")
    assert not cli.run_dir.exists()
