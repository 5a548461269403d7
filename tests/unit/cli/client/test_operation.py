"""A long request, and a signal at each moment of it."""

import os
import signal
from typing import Any

import pytest

from cli.client.connection import connect
from cli.client.operation import LongRequest
from cli.terminal.interrupted import Interrupted
from cli.terminal.signals import interrupts_raise
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Held, Late, Peer, refuse

WEB = view("web")


def interrupt_when_done(_body: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGTERM)
    raise Late(WEB)


def interrupt_and_hold(_body: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGTERM)
    raise Held


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """This process asks the scripted peer."""
    for name in ("BANGER_RUN_DIR", "HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, cli.env[name])
    return cli


def completed(cli: Cli, answer: Any) -> tuple[LongRequest[Any], BaseException | None, Peer]:
    request = LongRequest(api.VM_CREATE(name="web"))
    with Peer(cli.paths, {"vm.create": answer}) as peer:
        try:
            with interrupts_raise(), connect() as client:
                request.complete(client)
        except (Interrupted, BangerError) as error:
            return request, error, peer
    return request, None, peer


def test_the_result_stays_with_the_request(here: Cli) -> None:
    request, error, _ = completed(here, lambda _: WEB)
    assert error is None
    assert request.result == WEB


def test_a_failure_leaves_no_result(here: Cli) -> None:
    request, error, _ = completed(here, refuse(Code.GUEST_FAILED, "no agent"))
    assert isinstance(error, BangerError)
    assert request.result is None


def test_a_signal_cancels_it(here: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    request, error, peer = completed(here, interrupt_and_hold)
    assert isinstance(error, Interrupted)
    assert (error.exit_status, request.result) == (128 + signal.SIGTERM, None)
    assert peer.cancelled.is_set()
    assert capsys.readouterr().err == "Cancelling vm create.\n"


def test_a_signal_that_is_too_late_leaves_the_result(here: Cli) -> None:
    request, error, _ = completed(here, interrupt_when_done)
    assert isinstance(error, Interrupted)
    assert request.result == WEB
