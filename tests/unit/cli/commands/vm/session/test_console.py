"""``vm console``: which VMs have one. What it is like is in guest/test_console.py."""

from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.guest.test_console import Guest
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


@pytest.mark.parametrize("state", ["starting", "paused", "stopping"])
def test_a_vm_that_cannot_be_entered_has_its_console(cli: Cli, peer: Begin, state: str) -> None:
    refused = refuse(Code.NOT_RUNNING, f"web is {state}, not running")
    peer({"vm.show": lambda _: view("web", state=state), "vm.access": refused})
    guest = Guest(cli)
    ran = cli("vm", "console", "web", stdin=b"poweroff\n")
    assert (ran.status, ran.out, ran.err) == (0, "login: POWEROFF\n", "")
    guest.close()


def test_a_vm_that_does_not_run_gives_5(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.show": lambda _: view("web", state="stopped")})
    ran = cli("vm", "console", "web")
    assert ran.status == 5
    assert ran.err.endswith("hint: start it: banger vm start web\n")
    assert services.verbs() == ["vm.show"]
