"""``banger daemon``: the services, and their logs."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def service(name: str, state: str = "running") -> dict[str, Any]:
    return {"name": name, "state": state, "pid": 7, "restarts": 1, "reason": "", "log": "/l"}


def status(*services: dict[str, Any]) -> dict[str, Any]:
    return {"build": "1", "pid": os.getpid(), "services": list(services)}


def test_the_launcher_leads_the_services_it_runs(cli: Cli, peer: Begin) -> None:
    peer({"daemon.status": lambda _: status(service("store"))})
    ran = cli("daemon", "status")
    assert ran.status == 0
    assert [row.split()[:3] for row in ran.out.splitlines()[1:]] == [
        ["launcher", "running", str(os.getpid())],
        ["store", "running", "7"],
    ]
    assert cli("daemon", "status", "-q").out == "launcher\nstore\n"
    as_json = json.loads(cli("daemon", "status", "-o", "json").out)
    assert as_json["running"] is True
    assert as_json["services"][1] == service("store")


def test_a_service_that_was_given_up_makes_the_status_6(cli: Cli, peer: Begin) -> None:
    peer({"daemon.status": lambda _: status(service("store"), service("dns", "failed"))})
    assert cli("daemon", "status").status == 6


def test_start_asks_for_those_that_were_given_up(cli: Cli, peer: Begin) -> None:
    services = peer({"daemon.start": lambda _: {}})
    ran = cli("daemon", "start")
    assert (ran.status, ran.err) == (0, "The services are running.\n")
    assert services.verbs() == ["daemon.start"]


def test_stop_without_services_says_so(cli: Cli) -> None:
    assert cli("daemon", "stop").err == "The services were not running.\n"


def test_restart_with_a_configuration_that_is_wrong_ends_nothing(cli: Cli, peer: Begin) -> None:
    services = peer({"daemon.stop": lambda _: {}})
    cli.paths.config.mkdir(parents=True, exist_ok=True)
    cli.paths.config_file.write_text("warm_pol = 2\n")
    ran = cli("daemon", "restart")
    assert ran.status == 2
    assert "warm_pol" in ran.err
    assert services.calls == []


@pytest.fixture
def logs(cli: Cli) -> None:
    cli.paths.logs.mkdir(parents=True)
    entry = {"time": "2026-11-22T09:30:00.000Z", "level": "info", "service": "api"}
    for name, message in (("api", "asked"), ("store", "written")):
        line = json.dumps(entry | {"service": name, "message": message, "request": "3f2a77"})
        (cli.paths.logs / f"{name}.log").write_text(f"{line}\n")


@pytest.mark.usefixtures("logs")
def test_a_log_is_printed_for_people_or_as_it_is(cli: Cli) -> None:
    assert cli("daemon", "logs", "api").out == "09:30:00.000 info api [3f2a77] asked\n"
    assert json.loads(cli("daemon", "logs", "api", "--json").out)["message"] == "asked"


@pytest.mark.usefixtures("logs")
def test_a_request_is_followed_through_all_services(cli: Cli) -> None:
    lines = cli("daemon", "logs", "--request", "3f2a").out.splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["asked", "written"]
    assert cli("daemon", "logs", "--request", "77").status == 3
    assert cli("daemon", "logs", "--request", "\udcff").status == 3


@pytest.mark.parametrize("args", [[], ["api", "--request", "3f"], ["--request", "3f", "-f"]])
def test_a_service_or_a_request_but_not_both(cli: Cli, args: list[str]) -> None:
    assert cli("daemon", "logs", *args).status == 2


def test_a_service_that_has_logged_nothing_has_no_log(cli: Cli) -> None:
    assert cli("daemon", "logs", "dns").status == 3
