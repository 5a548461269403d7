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
    "vm.unpublish": lambda _: view("web"),
}


def test_published_ports_are_sent_and_all_of_them_shown(cli: Cli, peer: Begin) -> None:
    services = peer(ANSWERS)
    ran = cli("vm", "publish", "web", "8080:80", "0.0.0.0:53:53/udp")
    asked = {"ref": "web", "publish": [port(8080, 80), port(53, 53, "udp", "0.0.0.0")]}
    assert services.calls[-1] == ("vm.publish", asked)
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


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("8080", [port(8080, 80)]),
        ("8080/tcp", [port(8080, 80)]),
        ("8080:80", [port(8080, 80)]),
        ("127.0.0.1:8080:80/tcp", [port(8080, 80)]),
        ("5353/udp", [port(5353, 53, "udp")]),
        ("0.0.0.0:53:53", [port(53, 53, "udp", "0.0.0.0")]),
        ("--all", WEB["vm"]["publish"]),
    ],
)
def test_a_part_of_what_was_published_is_enough_to_take_it_away(
    cli: Cli, peer: Begin, spec: str, meant: list[dict[str, Any]]
) -> None:
    services = peer(ANSWERS)
    assert cli("vm", "unpublish", "web", spec).status == 0
    assert services.calls[-1] == ("vm.unpublish", {"ref": WEB["vm"]["id"], "publish": meant})


@pytest.mark.parametrize("spec", ["80", "8080:81", "8080/udp", "127.0.0.2:8080:80", "x", ""])
def test_what_is_not_published_is_not_found(cli: Cli, peer: Begin, spec: str) -> None:
    services = peer(ANSWERS)
    ran = cli("vm", "unpublish", "web", spec)
    assert ran.status == 3
    assert "web does not publish" in ran.err
    assert services.verbs() == ["vm.show"]


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
