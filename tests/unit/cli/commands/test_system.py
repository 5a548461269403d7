"""``banger system df``."""

import json
from collections.abc import Callable
from typing import Any

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

USAGE: dict[str, Any] = {
    "used": [
        {"kind": "images", "count": 2, "real_bytes": 72 << 20, "reclaimable": 1 << 20},
        {"kind": "vms", "count": 1, "real_bytes": 1 << 30, "reclaimable": 0},
    ],
    "path": "/data",
    "free_bytes": 5 << 30,
}


def test_what_is_used_and_what_is_free(cli: Cli, peer: Callable[..., Peer]) -> None:
    peer({"system.usage": lambda _: USAGE})
    ran = cli("system", "df")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["KIND", "COUNT", "SIZE", "RECLAIMABLE"],
        ["images", "2", "72M", "1M"],
        ["vms", "1", "1G", "0B"],
    ]
    assert ran.err == "5G free in /data\n"
    assert json.loads(cli("system", "df", "-o", "json").out) == USAGE
    assert cli("system", "df", "-o", "name").out == "images\nvms\n"
