"""The options that ``vm run``, ``vm create`` and ``vm set`` share, as they are sent."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
CREATE = {"vm.create": lambda _: view("web")}


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (["--egress", "none"], {"nat": False, "allow": []}),
        (["--egress", "nat"], {"nat": True, "allow": []}),
        (["--egress", "nat", "--nat"], {"nat": True, "allow": []}),
        (["--egress=allow=Example.org,192.0.2.0/24:80"],
         {"nat": False, "allow": ["example.org", "192.0.2.0/24:80"]}),
        (["--vcpu", "2", "--memory", "1G", "--disk-size", "4G", "--vmm", "qemu"],
         {"vcpu": 2, "memory_mib": 1024, "disk_bytes": 4 << 30, "vmm": "qemu"}),
        (["--label", "team=web", "--label", "old-"], {"labels": {"team": "web", "old": None}}),
    ],
)  # fmt: skip
def test_what_is_chosen_is_sent_and_nothing_else(
    cli: Cli, peer: Begin, args: list[str], sent: dict[str, Any]
) -> None:
    services = peer(CREATE)
    assert cli("vm", "run", "-d", *args).status == 0
    body = {key: value for key, value in services.calls[-1][1].items() if value is not None}
    assert body == {"start": True, "wait": "ready", **sent}


def test_a_change_is_chosen_by_the_same_options(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.set": lambda _: view("web")})
    assert cli("vm", "set", "web", "--vcpu", "2", "--nat").status == 0
    assert services.calls[-1] == ("vm.set", {"ref": "web", "vcpu": 2, "nat": True})
