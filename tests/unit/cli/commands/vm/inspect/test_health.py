"""``vm health``: a row per check, and the exit status."""

import json
from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


@pytest.mark.parametrize(("healthy", "status"), [(True, 0), (False, 1)])
def test_health_is_the_exit_status_and_a_row_per_check(
    cli: Cli, peer: Begin, healthy: bool, status: int
) -> None:
    checks = [
        {"name": "vmm", "ok": True, "detail": "pid 7", "milliseconds": None},
        {"name": "agent", "ok": healthy, "detail": "answer", "milliseconds": 4.4},
    ]
    health = {"id": "0123456789ab", "name": "web", "healthy": healthy, "checks": checks}
    peer({"vm.health": lambda _: health})
    ran = cli("vm", "health", "web")
    assert ran.status == status
    assert ran.out.splitlines()[2].split() == (
        ["web", "agent", "ok" if healthy else "FAILED", "4ms", "answer"]
    )
    as_json = cli("vm", "health", "web", "-o", "json")
    assert (as_json.status, json.loads(as_json.out)) == (status, [health])
