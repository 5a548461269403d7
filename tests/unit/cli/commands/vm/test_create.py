"""``vm create``: what is asked for, and what is printed."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Body, Late, Peer

Begin = Callable[..., Peer]
WEB = view("web")


def test_the_vm_is_booted_unless_that_is_left(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.create": lambda _: WEB})
    assert cli("vm", "create", "-q").out == "0123456789ab\n"
    assert cli("vm", "create", "--no-start", "-q").status == 0
    assert [body["start"] for _, body in services.calls] == [True, False]


def test_a_vm_that_is_not_started_cannot_be_waited_for(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.create": lambda _: WEB})
    assert cli("vm", "create", "--wait", "system", "-q").status == 0
    assert services.calls[-1][1]["wait"] == "system"
    assert cli("vm", "create", "--no-start", "--wait", "system").status == 2
    assert len(services.calls) == 1


def test_the_vm_is_shown_as_show_has_it(cli: Cli, peer: Begin) -> None:
    peer({"vm.create": lambda _: WEB})
    created = json.loads(cli("vm", "create", "-o", "json").out)
    assert (created["name"], created["access"]["port"]) == ("web", 22)


def test_a_signal_that_is_too_late_says_that_the_vm_is_kept(cli: Cli, peer: Begin) -> None:
    asked: list[Body] = []

    def create(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        raise Late(WEB)

    peer({"vm.create": create})
    process = cli.popen("vm", "create", stderr=-1)
    while not asked:
        time.sleep(0.005)  # until it is under way; the test's own deadline bounds it
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGINT
    assert err.endswith(
        b"Cancelling vm create.\n"
        b"Keeping web: it was created before the signal. Delete it with: banger vm delete web\n"
    )


@pytest.mark.parametrize("option", ["--vcpu", "--memory", "--disk-size", "--overlay-size"])
@pytest.mark.parametrize("value", ["9" * 30, "9" * 15 + "T"])
def test_a_number_that_no_message_holds_is_a_usage_error(cli: Cli, option: str, value: str) -> None:
    ran = cli("vm", "create", option, value)
    assert (ran.status, option in ran.err) == (2, True)
