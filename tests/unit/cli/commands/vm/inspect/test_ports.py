"""``vm ports``: what listens, and where it is reached."""

import json
from collections.abc import Callable
from typing import Any

from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
WEB = {"id": "0123456789ab", "name": "web"}


def port(number: int, host_port: int | None, url: str = "") -> dict[str, Any]:
    return {
        "protocol": "tcp",
        "guest_address": "0.0.0.0",
        "guest_port": number,
        "host_address": "127.77.0.2",
        "host_port": host_port,
        "url": url,
        "published": False,
    }


PORTS = WEB | {"ports": [port(3000, 3000, "http://web.vm:3000/"), port(80, 8080), port(53, None)]}


def test_ports_are_shown_with_where_they_are_reached(cli: Cli, peer: Begin) -> None:
    peer({"vm.ports": lambda _: PORTS})
    _, *rows = cli("vm", "ports", "web").out.splitlines()
    assert [row.split() for row in rows] == [
        ["web", "tcp/3000", "0.0.0.0", "web.vm:3000", "http://web.vm:3000/"],
        ["web", "tcp/80", "0.0.0.0", "web.vm:8080", "-"],
        ["web", "tcp/53", "0.0.0.0", "-", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "web.vm:3000\nweb.vm:8080\n"
    assert cli("vm", "ports", "web", "-q").out == "0123456789ab\n"
    first = json.loads(cli("vm", "ports", "web", "-o", "json").out)[0]
    assert (first["vm"], first["id"], first["host_port"]) == ("web", "0123456789ab", 3000)


def test_port_with_another_number_on_the_host_is_explained(cli: Cli, peer: Begin) -> None:
    peer({"vm.ports": lambda _: PORTS})
    assert cli("vm", "ports", "web").err == (
        "note: web: tcp port 80 is at 8080, because port 80 of 127.77.0.2 is privileged or "
        "another program has it\n"
    )
    assert cli("vm", "ports", "web", "-o", "json").err == ""


def test_published_ports_are_lines_of_their_own(cli: Cli, peer: Begin) -> None:
    published = {"published": True, "host_address": "127.0.0.1", "guest_address": ""}
    ports = WEB | {"ports": [port(80, 8080), port(80, 8888) | published]}
    peer({"vm.ports": lambda _: ports})
    _, *rows = cli("vm", "ports", "web").out.splitlines()
    assert [row.split() for row in rows] == [
        ["web", "tcp/80", "0.0.0.0", "web.vm:8080", "-"],
        ["web", "tcp/80", "-", "127.0.0.1:8888", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "web.vm:8080\n127.0.0.1:8888\n"
