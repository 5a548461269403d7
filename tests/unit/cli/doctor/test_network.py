"""What doctor says of the network."""

from pathlib import Path

from cli.doctor import network
from shared.config import Config, NatConfig
from shared.contract.messages.network import NatStatus
from shared.paths import Paths

HERE = Paths(*[Path("/nowhere")] * 4)


def test_user_mode_is_told_what_bridge_mode_would_add() -> None:
    (result,) = network.network(HERE, Config(network="user"))
    assert result.status == "PASS"
    for gain in ("egress lists with names", "names between guests"):
        assert gain in result.found


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
