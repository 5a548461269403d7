"""The launcher's decisions as transcripts, and the procfile."""

import sys
from pathlib import Path

import pytest

from services.launcher.core import ServiceTable, own_interpreter, parse_procfile
from shared.errors import BangerError, Code
from shared.host.programs import isolation

PROCFILE = Path(__file__).parents[4] / "procfile"


def core() -> ServiceTable:
    return ServiceTable({"broker": ["b"], "store": ["s"], "api": ["a"]})


def started(now: float = 0.0) -> ServiceTable:
    """A launcher whose services run with pids 1, 2, 3."""
    launcher = core()
    launcher.start_all(now)
    for pid, service in enumerate(launcher.due(now), 1):
        launcher.on_started(service.name, pid)
    return launcher


def names(launcher: ServiceTable, now: float) -> list[str]:
    return [service.name for service in launcher.due(now)]


def test_everything_starts_in_procfile_order() -> None:
    launcher = core()
    assert launcher.next_start() is None
    launcher.start_all(5.0)
    assert names(launcher, 5.0) == ["broker", "store", "api"]


def test_what_has_been_started_is_not_due_again() -> None:
    launcher = started()
    assert names(launcher, 100.0) == []
    assert launcher.next_start() is None
    status = launcher.services["store"].status("/log")
    assert (status.state, status.pid, status.restarts, status.reason) == ("running", 2, 0, "")


def test_dead_service_comes_back_after_its_delay() -> None:
    launcher = started()
    launcher.on_exit("store", -9, 10.0, 1.0)
    service = launcher.services["store"]
    assert (service.state, service.pid, service.reason) == ("backoff", None, "killed by signal 9")
    assert launcher.next_start() == 10.02
    assert names(launcher, 10.01) == []
    assert names(launcher, 10.02) == ["store"]
    launcher.on_started("store", 7)
    assert (service.state, service.pid, service.restarts, service.reason) == ("running", 7, 1, "")


def test_service_that_cannot_stay_is_given_up_with_its_reason_and_others_go_on() -> None:
    launcher = started()
    for second in range(11):
        launcher.on_exit("store", 3, float(second), 0.0)
        for service in launcher.due(second + 0.99):
            launcher.on_started(service.name, 100 + second)
    service = launcher.services["store"]
    assert service.state == "failed"
    assert service.reason == "exited with 3; restarted too often, giving up"
    assert (service.pid, service.restarts) == (None, 10)
    assert names(launcher, 1e9) == []
    assert launcher.services["broker"].state == "running"


def test_service_whose_program_is_missing_is_given_up_too() -> None:
    launcher = core()
    launcher.start_all(0.0)
    for second in range(11):
        assert "store" in names(launcher, second + 0.99)
        launcher.on_exit("store", 127, second + 0.99, 0.0)
    assert launcher.services["store"].state == "failed"
    assert names(launcher, 1e9) == ["broker", "api"]


def test_person_who_says_start_gives_a_failed_service_another_chance() -> None:
    launcher = started()
    for _ in range(11):
        launcher.on_exit("store", 3, 0.0, 0.0)
    launcher.start_all(1.0)
    assert names(launcher, 1.0) == ["store"]
    launcher.on_started("store", 9)
    launcher.on_exit("store", 3, 2.0, 1.0)
    assert launcher.next_start() == 2.02


def test_the_api_stops_first_and_the_broker_last() -> None:
    groups = started().stop()
    assert [[service.name for service in group] for group in groups] == [
        ["api"],
        ["store"],
        ["broker"],
    ]


def test_services_that_stop_do_not_come_back() -> None:
    launcher = started()
    launcher.on_exit("api", 1, 1.0, 0.0)
    assert launcher.stop()[0] == []
    launcher.on_exit("store", 0, 2.0, 0.0)
    assert launcher.services["store"].state == "stopped"
    assert names(launcher, 1e9) == []


def test_lines_are_names_and_commands() -> None:
    text = "# core\nbroker: python -m services.broker\n\n  dns :  python  -m services.dns\n"
    assert parse_procfile(text) == {
        "broker": ["python", "-m", "services.broker"],
        "dns": ["python", "-m", "services.dns"],
    }


@pytest.mark.parametrize("line", ["broker", "broker:", ": python -m x", "a: b\na: c", "broker: "])
def test_line_that_is_no_service_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_procfile(f"first: one\n{line}")
    assert caught.value.code is Code.INVALID
    assert f"line {2 + line.count(chr(10))}" in caught.value.message


def test_shipped_procfile_names_the_core_services_broker_first() -> None:
    services = parse_procfile(PROCFILE.read_text())
    assert list(services) == ["broker", "store", "images", "workspaces", "api", "nat", "dns"]
    isolated = ["python", "-I", "-m", "banger"]
    assert services == {name: [*isolated, f"services.{name}"] for name in services}


def test_python_in_a_procfile_is_the_launchers_own_as_isolated_as_the_line_says() -> None:
    isolated = own_interpreter(["python", "-I", "-m", "banger", "services.dns"])
    assert isolated == [sys.executable, *isolation(), "-m", "banger", "services.dns"]
    assert own_interpreter(["python", "-m", "x"]) == [sys.executable, "-m", "x"]
    assert own_interpreter(["sleep", "1"]) == ["sleep", "1"]
