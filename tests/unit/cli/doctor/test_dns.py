"""Whether a VM's name resolves, as doctor sees it."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cli.doctor.dns import RECIPES, judged, resolve, zones_of
from shared.config import Config
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Answer, Peer


def test_a_name_of_the_host_resolves_once_for_each_address() -> None:
    found = resolve("localhost", 5.0)
    assert found is not None
    assert "127.0.0.1" in found or "::1" in found
    assert len(found) == len(set(found))


def test_a_name_that_is_nowhere_resolves_to_nothing() -> None:
    def lookup(name: str, _port: None) -> list[tuple[Any, ...]]:
        raise OSError(-2, "Name or service not known")

    assert resolve("beta.vm", 5.0, lookup) == []


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    hold = threading.Event()

    def lookup(name: str, _port: None) -> list[tuple[Any, ...]]:
        hold.wait()
        return []

    try:
        assert resolve("beta.vm", 0.05, lookup) is None
    finally:
        hold.set()


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (["127.77.0.2"], "PASS", "beta.vm resolves to 127.77.0.2"),
        ([], "WARN", "beta.vm does not resolve here"),
        (["192.0.2.1"], "WARN", "beta.vm resolves to 192.0.2.1, not to 127.77.0.2"),
        (None, "WARN", "no answer for beta.vm within 3 s"),
    ],
)
def test_what_was_found_is_told_with_what_to_do(
    found: list[str] | None, status: str, said: str
) -> None:
    result = judged("beta.vm", "127.77.0.2", found, "vm 0.77.10.in-addr.arpa")
    assert (result.status, result.found) == (status, said)
    zones = " (zones: vm 0.77.10.in-addr.arpa)"
    assert result.hint == ("" if status == "PASS" else RECIPES + zones)


def doctor(cli: Cli) -> dict[str, str]:
    """The line of ``banger doctor`` about names: a process of its own, as ZeroMQ is per process."""
    results: list[dict[str, str]] = json.loads(cli("doctor", "-o", "json").out)
    return next(result for result in results if result["name"] == "names")


def listing(state: str) -> dict[str, Answer]:
    """A scripted api with one VM, whose name nothing on a build machine leads to us."""
    row = {"name": "no-such-machine-here", "state": state, "address": "127.77.0.2"}
    status = {"listening": True, "address": "127.0.0.1:42069", "names": 1, "problem": ""}
    return {"vm.list": lambda _: {"vms": [{"vm": row}]}, "dns.status": lambda _: status}


def test_without_services_nothing_is_tried(cli: Cli) -> None:
    result = doctor(cli)
    assert result["status"] == "PASS"
    assert result["found"] == "not checked: the services are not running"


def test_without_a_vm_that_is_up_nothing_is_tried(cli: Cli, peer: Callable[..., Peer]) -> None:
    peer(listing("stopped"))
    result = doctor(cli)
    assert (result["status"], result["found"]) == ("PASS", "not checked: no VM is running")


def test_a_vm_that_is_up_is_tried(cli: Cli, peer: Callable[..., Peer]) -> None:
    peer(listing("running"))
    result = doctor(cli)
    assert result["status"] == "WARN"
    assert "no-such-machine-here.vm" in result["found"]
    assert result["hint"] == f"{RECIPES} (zones: {zones_of(Config())})"
