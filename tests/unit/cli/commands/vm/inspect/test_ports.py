"""``vm ports``: what listens, and where it is reached."""

import json
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from cli.commands.vm.inspect.ports import entries_of
from shared.bus.record import Record
from shared.contract.messages.vm import PortList
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
        "reason": "",
    }


URL = "http://127.77.0.2:3000/"
PORTS: dict[str, Any] = WEB | {"ports": [port(3000, 3000, URL), port(80, 8080), port(53, None)]}


@pytest.mark.parametrize(
    ("leads_to", "host"),
    [("127.77.0.2", "web.vm"), ("192.0.2.1", "127.77.0.2"), (None, "127.77.0.2")],
)
def test_name_is_shown_where_it_leads_to_the_vm(
    monkeypatch: pytest.MonkeyPatch, leads_to: str | None, host: str
) -> None:
    def getaddrinfo(name: str, *_: object, **__: object) -> list[Any]:
        assert name == "web.vm"
        if leads_to is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (leads_to, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    result = Record(WEB | {"ports": [Record(each) for each in PORTS["ports"]]})
    (web, *_) = entries_of(cast(PortList, result))
    assert (web.name, web.json["url"]) == (f"{host}:3000", f"http://{host}:3000/")


def test_reason_why_a_port_is_not_reached_is_shown(cli: Cli, peer: Begin) -> None:
    reason = "bound to 127.0.0.1, so only the guest's own programs reach it"
    peer({"vm.ports": lambda _: WEB | {"ports": [port(80, None) | {"reason": reason}]}})
    header, row = cli("vm", "ports", "web").out.splitlines()
    assert header.split()[-1] == "NOTE"
    assert row.endswith(reason)


def test_ports_are_shown_with_where_they_are_reached(cli: Cli, peer: Begin) -> None:
    peer({"vm.ports": lambda _: PORTS})
    _, *rows = cli("vm", "ports", "web").out.splitlines()
    assert [row.split() for row in rows] == [
        ["web", "tcp/3000", "0.0.0.0", "127.77.0.2:3000", URL],
        ["web", "tcp/80", "0.0.0.0", "127.77.0.2:8080", "-"],
        ["web", "tcp/53", "0.0.0.0", "-", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "127.77.0.2:3000\n127.77.0.2:8080\n"
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
        ["web", "tcp/80", "0.0.0.0", "127.77.0.2:8080", "-"],
        ["web", "tcp/80", "-", "127.0.0.1:8888", "-"],
    ]
    assert cli("vm", "ports", "web", "-o", "name").out == "127.77.0.2:8080\n127.0.0.1:8888\n"
