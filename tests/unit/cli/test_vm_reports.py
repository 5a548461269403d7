"""``vm ports``, ``vm health``, ``vm ps`` and ``ops``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
WEB = {"id": "0123456789ab", "name": "web"}
LISTING = {"vms": [view("web"), view("db", "ba9876543210", state="stopped")]}


def port(number: int, host_port: int | None, url: str = "") -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "guest_address": "0.0.0.0",
        "guest_port": number,
        "host_address": "127.77.0.2",
        "host_port": host_port,
        "url": url,
        "published": False,
    }


PORTS = WEB | {"ports": [port(3000, 3000, "http://web.vm:3000/"), port(80, 8080), port(53, None)]}


def test_ports_are_shown_with_where_they_are_reached(cli: Cli, peer: Begin) -> None:
    peer({"vm.ports": lambda _: PORTS})
    _, *rows = cli("vm", "ports", "web").out.splitlines()
    assert [row.split() for row in rows] == [
        ["web", "tcp/3000", "0.0.0.0", "web.vm:3000", "http://web.vm:3000/"],
        ["web", "tcp/80", "0.0.0.0", "web.vm:8080", "-"],
        ["web", "tcp/53", "0.0.0.0", "-", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "web.vm:3000\nweb.vm:8080\n"
    assert cli("vm", "ports", "web", "-q").out == "0123456789ab\n"
    first = json.loads(cli("vm", "ports", "web", "-o", "json").out)[0]
    assert (first["vm"], first["id"], first["host_port"]) == ("web", "0123456789ab", 3000)


def test_published_ports_are_lines_of_their_own(cli: Cli, peer: Begin) -> None:
    published = {"published": True, "host_address": "127.0.0.1", "guest_address": ""}
    ports = WEB | {"ports": [port(80, 8080), port(80, 8888) | published]}
    peer({"vm.ports": lambda _: ports})
    _, *rows = cli("vm", "ports", "web").out.splitlines()
    assert [row.split() for row in rows] == [
        ["web", "tcp/80", "0.0.0.0", "web.vm:8080", "-"],
        ["web", "tcp/80", "-", "127.0.0.1:8888", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "web.vm:8080\n127.0.0.1:8888\n"


@pytest.mark.parametrize(("healthy", "status"), [(True, 0), (False, 1)])
def test_health_is_the_exit_status_and_a_row_per_check(
    cli: Cli, peer: Begin, healthy: bool, status: int
) -> None:
    checks = [
        {"name": "vmm", "ok": True, "detail": "pid 7", "milliseconds": None},
        {"name": "agent", "ok": healthy, "detail": "answer", "milliseconds": 4.4},
    ]
    health = {"id": "0123456789ab", "name": "web", "healthy": healthy, "checks": checks}
    peer({"vm.health": lambda _: health})
    ran = cli("vm", "health", "web")
    assert ran.status == status
    assert ran.out.splitlines()[2].split() == (
        ["web", "agent", "ok" if healthy else "FAILED", "4ms", "answer"]
    )
    as_json = cli("vm", "health", "web", "-o", "json")
    assert (as_json.status, json.loads(as_json.out)) == (status, [health])


def test_ps_lists_what_runs(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: LISTING})
    assert cli("vm", "ps", "-o", "name").out == "web\n"


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
