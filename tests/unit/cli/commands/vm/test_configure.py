"""``vm set``: what is sent, and what is refused."""

from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
WEB = view("web")


def test_only_what_is_given_is_set(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.set": lambda _: WEB})
    assert cli("vm", "set", "web", "--memory", "4G", "--no-nat").status == 0
    asked = {"ref": "web", "memory_mib": 4096, "nat": False}
    assert services.calls[-1] == ("vm.set", asked)


@pytest.mark.parametrize("args", [[], ["--vcpu", "0"], ["--disk-size", "-1G"], ["--memory", "0"]])
def test_setting_nothing_or_less_than_one_is_a_usage_error(cli: Cli, args: list[str]) -> None:
    assert cli("vm", "set", "web", *args).status == 2
    assert not cli.run_dir.exists()


def test_a_vm_is_renamed(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.rename": lambda _: view("new")})
    assert cli("vm", "rename", "web", "new").out == "new\n"
    assert services.calls[-1] == ("vm.rename", {"ref": "web", "name": "new"})
    assert cli("vm", "rename", "web", "No").status == 2
