"""What doctor says of the network."""

import os
import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cli.doctor import network
from shared.config import Config, NatConfig
from shared.contract.messages.network import NatStatus
from shared.paths import Paths

HERE = Paths(*[Path("/nowhere")] * 4)


@pytest.mark.parametrize(
    "text",
    [
        "nameserver 2001:db8::1\nnameserver 192.0.2.1\n",
        "nameserver 127.0.0.53\noptions edns0\n",
        "# nameserver 2001:db8::1\nnameserver\n",
        "",
    ],
)
def test_a_host_with_an_ipv4_resolver_has_names_for_guests(text: str) -> None:
    assert list(network.guest_names(text)) == []


def test_a_host_with_ipv6_resolvers_alone_has_no_names_for_guests() -> None:
    (result,) = network.guest_names("search x\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n")
    assert result.status == "WARN"
    assert "2001:db8::1" in result.found


def test_user_mode_is_told_what_bridge_mode_would_add() -> None:
    result, *_ = network.network(HERE, Config(network="user"))
    assert result.status == "PASS"
    for gain in ("egress lists with names", "names between guests"):
        assert gain in result.found


def test_programs_of_other_users_at_addresses_of_vms_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subnet = IPv4Network("127.77.255.0/24")
    with socket.create_server(("127.77.255.9", 0)):
        assert network.foreign_addresses(subnet) == []
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert network.foreign_addresses(subnet) == ["127.77.255.9"]
        config = Config(network="user", user_subnet=str(subnet))
        (result,) = network.network(HERE, config)
    assert result.status == "WARN"
    assert "127.77.255.9" in result.found
    assert "user_subnet" in result.hint


def test_bridge_mode_is_told_where_it_is() -> None:
    (result,) = network.network(HERE, Config(nat=NatConfig(enabled=True, bridge="br9")))
    assert result.found == "bridge mode: br9, 10.77.0.0/24"


def test_what_stands_in_the_way_of_guests_is_a_warning_with_its_cure() -> None:
    problem = "ufw drops what guests send: run `ufw route allow in on br-banger`"
    result = network.bridge("bridge mode", NatStatus(enabled=True, problem=problem))
    assert result.status == "WARN"
    assert problem in result.found
    assert network.bridge("bridge mode", NatStatus(enabled=True, problem="")).status == "PASS"
    assert network.bridge("bridge mode", None).status == "PASS"
