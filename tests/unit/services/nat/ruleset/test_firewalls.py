"""Others' firewalls in the words of nft and iptables, and what is done about each."""

from typing import Any

import pytest

from services.nat.ruleset.firewalls import (
    DockerRules,
    has_docker,
    legacy_close,
    legacy_firewalls,
    legacy_open,
    nft_close,
    nft_docker_rules,
    nft_obstacles,
    nft_open,
)

DOCKER_USER = {"family": "ip", "table": "filter", "name": "DOCKER-USER"}
FORWARD = {
    "family": "ip", "table": "filter", "name": "FORWARD",
    "type": "filter", "hook": "forward", "prio": 0, "policy": "drop",
}  # fmt: skip
UFW = {"family": "ip", "table": "filter", "name": "ufw-before-forward"}
FIREWALLD = {
    "family": "inet", "table": "firewalld", "name": "filter_FORWARD",
    "type": "filter", "hook": "forward", "prio": 10, "policy": "accept",
}  # fmt: skip
OURS = {**FORWARD, "family": "inet", "table": "banger", "name": "forward"}


def rule(handle: int, direction: str, comment: str = "banger-br0") -> dict[str, Any]:
    match = {"match": {"op": "==", "left": {"meta": {"key": direction}}, "right": "br0"}}
    expr = [match, {"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]
    return {"rule": {"handle": handle, "comment": comment, "expr": expr}}


def test_our_rules_in_dockers_chain_are_known_by_their_comment() -> None:
    entries = [{"chain": DOCKER_USER}, rule(3, "iifname"), rule(4, "oifname", "banger-br1")]
    present = nft_docker_rules(entries, "br0")
    assert present == DockerRules("nft", (("iifname", "3"),))
    assert not present.complete
    assert nft_docker_rules([*entries, rule(5, "oifname")], "br0").complete
    assert not nft_docker_rules([*entries, rule(5, "oifname"), rule(6, "oifname")], "br0").complete


def test_rules_are_put_in_place_of_what_is_there_in_one_transaction() -> None:
    text = nft_open(DockerRules("nft", (("iifname", "3"),)), "br0")
    assert text.splitlines()[0] == "delete rule ip filter DOCKER-USER handle 3"
    assert text.count("insert rule ip filter DOCKER-USER") == 2
    assert nft_close(DockerRules("nft")) == ""


def test_docker_is_told_by_its_chain() -> None:
    assert has_docker([FORWARD, DOCKER_USER])
    assert not has_docker([FORWARD, {**DOCKER_USER, "family": "ip6"}])


@pytest.mark.parametrize(
    ("chains", "named"),
    [
        ([FORWARD, DOCKER_USER], []),
        ([FORWARD, UFW], ["ufw route allow in on br0 && ufw route allow out on br0"]),
        ([FORWARD, UFW, DOCKER_USER], []),
        ([FORWARD], ["nft insert rule ip filter FORWARD iifname br0 accept && "]),
        ([FIREWALLD], ["firewall-cmd --permanent --zone=trusted --add-interface=br0"]),
        ([OURS], []),
        ([{**FORWARD, "hook": "input"}], []),
        ([{**FORWARD, "family": "ip6"}], []),
        ([{**FORWARD, "policy": "accept"}], []),
    ],
    ids=["docker", "ufw", "both", "own", "firewalld", "ours", "input", "ipv6", "accept"],
)
def test_who_drops_is_named_with_what_to_run(chains: list[Any], named: list[str]) -> None:
    told = nft_obstacles(chains, "br0", "banger")
    assert len(told) == len(named)
    assert all(command in line for command, line in zip(named, told, strict=True))


LEGACY = [
    "-P INPUT ACCEPT",
    "-P FORWARD DROP",
    "-N DOCKER-USER",
    "-A FORWARD -j DOCKER-USER",
    "-A DOCKER-USER -i br0 -m comment --comment banger-br0 -j ACCEPT",
    "-A DOCKER-USER -o br0 -m comment --comment banger-br0 -j ACCEPT",
    '-A DOCKER-USER -s 192.0.2.1/32 -m comment --comment "not banger-br0" -j DROP',
]


def test_older_tables_are_read_and_written_in_their_own_words() -> None:
    (present,) = legacy_firewalls(LEGACY, "br0").docker
    assert present.complete
    text = legacy_close(present)
    assert "-D DOCKER-USER -i br0 -m comment --comment banger-br0 -j ACCEPT\n" in text
    assert text.startswith("*filter\n")
    assert text.endswith("COMMIT\n")
    assert legacy_open(present, "br0").count("-I DOCKER-USER") == 2
    assert "not banger" not in text


@pytest.mark.parametrize(
    ("lines", "command"),
    [
        (["-P FORWARD DROP", "-N ufw-before-forward"], "ufw route allow in on br0"),
        (["-P FORWARD DROP"], "iptables-legacy -I FORWARD -i br0 -j ACCEPT"),
        (["-P FORWARD ACCEPT"], ""),
        ([], ""),
    ],
)
def test_older_tables_that_drop_are_named(lines: list[str], command: str) -> None:
    told = legacy_firewalls(lines, "br0").obstacles
    assert bool(told) == bool(command)
    assert all(command in line for line in told)
