"""Finding services: who is there, of which version, and what is said when somebody is not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.client.connection import (
    ALL,
    START_SECONDS,
    expected_services,
    last_error_line,
    start_seconds,
)
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer
from tests.waiting import eventually

Begin = Callable[..., Peer]


def test_the_environment_decides_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANGER_START_SECONDS", raising=False)
    assert start_seconds() == START_SECONDS
    monkeypatch.setenv("BANGER_START_SECONDS", "60")
    assert start_seconds() == 60.0


@pytest.mark.parametrize("word", ["soon", "-1", "0", "nan", "inf"])
def test_what_is_no_number_of_seconds_is_refused(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANGER_START_SECONDS", word)
    with pytest.raises(BangerError) as raised:
        start_seconds()
    assert raised.value.code is Code.INVALID


def test_services_of_another_version_are_refused_with_the_cure(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: {"vms": []}}, build="0.0.1")
    ran = cli("vm", "list")
    assert ran.status == 1
    assert "has version 0.0.1" in ran.err
    assert ran.err.endswith("banger daemon restart\n")
    assert services.calls == []


def test_a_service_that_does_not_start_is_named_with_its_last_message(
    cli: Cli, peer: Begin
) -> None:
    peer({}, missing="store")
    cli.paths.logs.mkdir(parents=True)
    (cli.paths.logs / "store.err").write_text("error: the disk is full\nhint: free some space\n")
    ran = cli("vm", "list", env={"BANGER_START_SECONDS": "0.2"})
    assert ran.status == 6
    assert ran.err.startswith("error: the service store did not start: the disk is full\n")
    assert str(cli.paths.logs / "store.err") in ran.err


@pytest.mark.parametrize(
    ("written", "last"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("error: broken\nhint: mend it\n", "broken"),
        ("hint: nothing else\n", ""),
    ],
)
def test_the_last_message_is_no_hint_and_not_empty(tmp_path: Path, written: str, last: str) -> None:
    (tmp_path / "log").write_text(written)
    assert last_error_line(tmp_path / "log") == last


def test_without_a_log_there_is_no_last_message(tmp_path: Path) -> None:
    assert last_error_line(tmp_path / "log") == ""


@pytest.mark.parametrize(
    ("config", "awaited"),
    [
        ("", ALL),
        ("[nat]\nenabled = true\nexternal = true\n", tuple(n for n in ALL if n != "nat")),
        ("this is not TOML", ALL),
    ],
)
def test_a_nat_that_root_runs_is_not_waited_for(
    cli: Cli, config: str, awaited: tuple[str, ...]
) -> None:
    cli.paths.config_file.parent.mkdir(parents=True)
    cli.paths.config_file.write_text(config)
    assert expected_services(cli.paths) == awaited


def test_services_that_are_stopped_while_a_command_waits_for_them_are_started_again(
    cli: Cli,
) -> None:
    """It does not wait for the end of its patience; here the start fails, as it says."""
    cli.paths.config_file.parent.mkdir(parents=True)
    cli.paths.config_file.write_text("this is not TOML")
    cli.env["BANGER_START_SECONDS"] = "45"
    with Peer(cli.paths, {}, missing="store") as services:
        impatient = "import shared.bus.client; shared.bus.client.CONNECT_SECONDS = 0.2"
        listing = cli.popen("vm", "list", prelude=impatient, stderr=subprocess.PIPE)
        eventually(lambda: services.requests)
    _, said = listing.communicate(timeout=30)
    assert listing.returncode == 6
    assert said.startswith(b"error: the service launcher did not start: ")
