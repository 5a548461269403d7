"""The options of ``vm run`` and ``vm create`` as they are sent."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
CREATE = {"vm.create": lambda _: view("web")}

HTTP = {"host_address": "127.0.0.1", "host_port": 8080, "guest_port": 80, "protocol": "tcp"}


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (["-p", "8080:80", "--publish", "0.0.0.0:53:53/udp"],
         {"publish": [HTTP, {"host_address": "0.0.0.0", "host_port": 53, "guest_port": 53,
                             "protocol": "udp"}]}),
    ],
)  # fmt: skip
def test_the_network_is_sent_as_it_was_given(
    cli: Cli, peer: Begin, args: list[str], sent: dict[str, Any]
) -> None:
    services = peer(CREATE)
    assert cli("vm", "run", "-d", *args).status == 0
    body = {key: value for key, value in services.calls[-1][1].items() if value is not None}
    assert body == {"start": True, "wait": "ready", **sent}
