"""``vm publish``, ``vm unpublish``: what is asked for, and what is printed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def port(
    host: int, guest: int, protocol: str = "tcp", address: str = "127.0.0.1"
) -> dict[str, Any]:
    return {
        "host_port": host,
        "guest_port": guest,
        "host_address": address,
        "protocol": protocol,
    }


WEB = view("web", publish=[port(8080, 80), port(5353, 53, "udp"), port(53, 53, "udp", "0.0.0.0")])
ANSWERS = {
    "vm.show": lambda _: WEB,
    "vm.list": lambda _: {"vms": [WEB]},
    "vm.publish": lambda _: WEB,
    "vm.ports": lambda _: {"id": WEB["vm"]["id"], "name": "web", "ports": []},
    "vm.unpublish": lambda _: view("web"),
}


def test_published_ports_are_sent_and_all_of_them_shown(cli: Cli, peer: Begin) -> None:
    services = peer(ANSWERS)
    ran = cli("vm", "publish", "web", "8080:80", "0.0.0.0:53:53/udp")
    asked = {"ref": "web", "publish": [port(8080, 80), port(53, 53, "udp", "0.0.0.0")]}
    assert services.calls[0] == ("vm.publish", asked)
    assert [row.split() for row in ran.out.splitlines()] == [
        ["VM", "HOST", "PORT"],
        ["web", "127.0.0.1:8080", "tcp/80"],
        ["web", "127.0.0.1:5353", "udp/53"],
        ["web", "0.0.0.0:53", "udp/53"],
    ]
    listed = json.loads(cli("vm", "publish", "web", "8080:80", "-o", "json").out)
    assert (listed[0]["vm"], listed[0]["name"], listed[0]["guest_port"]) == (
        *("web", "127.0.0.1:8080", 80),
    )


def test_new_port_that_reaches_nothing_is_told(cli: Cli, peer: Begin) -> None:
    reason = "bound to 127.0.0.1, so only the guest's own programs reach it"

    def listed(host: int, reason: str) -> dict[str, Any]:
        return port(host, 80) | {"guest_address": "", "published": True, "reason": reason}

    report = {"id": WEB["vm"]["id"], "name": "web"} | {
        "ports": [listed(8080, reason), listed(9090, "an older one")]
    }
    peer(ANSWERS | {"vm.ports": lambda _: report})
    ran = cli("vm", "publish", "web", "8080:80")
    assert ran.status == 0
    assert ran.err == f"note: tcp/80 of web: {reason}\n"
    assert cli("vm", "publish", "web", "8080:80", "-o", "json").err == ""


def test_guest_that_does_not_answer_does_not_spoil_it(cli: Cli, peer: Begin) -> None:
    peer(ANSWERS | {"vm.ports": refuse(Code.NOT_RUNNING, "busy")})
    ran = cli("vm", "publish", "web", "8080:80")
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "ports", "every"),
    [(["8080", "5353/udp"], ["8080", "5353/udp"], False), (["--all"], [], True)],
)
def test_what_is_taken_away_is_sent_as_it_was_typed(
    cli: Cli, peer: Begin, words: list[str], ports: list[str], every: bool
) -> None:
    services = peer(ANSWERS)
    assert cli("vm", "unpublish", "web", *words).status == 0
    assert services.calls == [("vm.unpublish", {"ref": "web", "ports": ports, "every": every})]


@pytest.mark.parametrize(
    "words",
    [
        ("publish", "web"),
        ("publish", "web", "80"),
        ("publish", "web", "1:2:3:4"),
        ("unpublish", "web"),
        ("unpublish", "web", "80", "--all"),
    ],
)
def test_what_says_too_little_or_too_much_is_a_usage_error(
    cli: Cli, words: tuple[str, ...]
) -> None:
    assert cli("vm", *words).status == 2
    assert not cli.run_dir.exists()


def test_a_conflict_gives_4(cli: Cli, peer: Begin) -> None:
    peer({"vm.publish": refuse(Code.CONFLICT, "tcp port 8080 is taken by nginx (pid 7)")})
    assert cli("vm", "publish", "web", "8080:80").status == 4


def test_what_is_published_is_offered_by_the_shell(cli: Cli, peer: Begin) -> None:
    peer(ANSWERS)
    words = {"COMP_WORDS": "banger vm unpublish web 5", "COMP_CWORD": "4"}
    ran = cli(env={"_BANGER_COMPLETE": "bash_complete", **words})
    assert ran.out.split() == ["plain,5353:53/udp", "plain,53:53/udp"]
