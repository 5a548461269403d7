"""What is said of a VM whose session was lost."""

from collections.abc import Callable
from typing import Any

import pytest

from cli.client.lost_session import explained
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
ID = "0123456789ab"


def lost(code: Code = Code.LOST, **details: Any) -> BangerError:
    message = "the connection to the guest was lost while the command ran"
    return BangerError(code, message, details={"vm": ID} | details)


def explanation(error: BangerError) -> BangerError:
    with pytest.raises(BangerError) as raised, explained():
        raise error
    return raised.value


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in cli.env.items():
        monkeypatch.setenv(variable, value)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("state", "reason", "became"),
    [
        ("stopped", "", "was stopped"),
        ("stopping", "", "was being stopped"),
        ("suspended", "", "was suspended"),
        ("failed", "the VMM was killed by SIGKILL", "failed (the VMM was killed by SIGKILL)"),
    ],
)
def test_the_vm_and_what_happened_are_named(
    peer: Begin, state: str, reason: str, became: str
) -> None:
    peer({"vm.show": lambda _: view("web", state=state, reason=reason)})
    error = explanation(lost())
    assert (error.code, error.exit_status) == (Code.LOST, 125)
    assert error.message == f"web {became} while the command ran"


@pytest.mark.usefixtures("here")
def test_a_vm_that_is_gone_was_deleted(peer: Begin) -> None:
    peer({"vm.show": refuse(Code.NOT_FOUND, "there is no VM")})
    assert explanation(lost()).message == f"{ID} was deleted while the command ran"


@pytest.mark.usefixtures("here")
def test_of_a_vm_that_runs_only_the_connection_was_lost(
    peer: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.client.lost_session.PATIENCE_SECONDS", 0.1)
    peer({"vm.show": lambda _: view("web")})
    error = explanation(lost())
    assert error.message == "the connection to web was lost while the command ran"
    assert error.hint == "check the guest: banger vm health web"


@pytest.mark.usefixtures("here", "cli")
def test_without_services_the_error_stays_as_it_was() -> None:
    assert explanation(lost(Code.UNAVAILABLE)).code is Code.UNAVAILABLE


def test_other_errors_pass() -> None:
    error = BangerError(Code.TIMEOUT, "too late")
    assert explanation(error) is error
