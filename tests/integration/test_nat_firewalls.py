"""NAT beside the firewalls of others: Docker's real rules in both kinds of iptables, and a drop."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.namespaces import Namespace
from tests.integration.nat_lab import (
    NOBODY,
    OUTSIDE,
    UPLINK,
    Lab,
    fetch,
    is_cut_off,
    made_lab,
    spec,
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not shutil.which("iptables-nft"),
    reason="needs root, /dev/net/tun and iptables",
)

ALPHA = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
BETA = spec("bbbbbbbbbbbb", "10.77.0.3")
DOCKER = Path(__file__).with_name("docker.rules").read_text()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        yield made


def restore(place: Namespace, kind: str, rules: str) -> None:
    argv = [f"iptables-{kind}-restore"]
    place.run(lambda: subprocess.run(argv, input=rules, text=True, check=True, timeout=20))


def saved(place: Namespace, kind: str) -> str:
    """All rules without comments (dates) and counters."""
    lines = place.sh(f"iptables-{kind}-save").splitlines()
    return "\n".join(re.sub(r"\[\d+:\d+\]", "", line) for line in lines if line[:1] != "#")


def obstacles(lab: Lab) -> tuple[str, ...]:
    return lab.place.run(lambda: lab.host.observe(NOBODY.bridge)).firewalls.obstacles


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_guest_gets_out_beside_docker_and_docker_has_its_rules_back(lab: Lab, kind: str) -> None:
    restore(lab.place, kind, DOCKER)
    before = saved(lab.place, kind)
    lab.reconcile(ALPHA)
    assert fetch(lab.boot(ALPHA), OUTSIDE) == UPLINK
    assert obstacles(lab) == ()
    assert lab.reconcile(ALPHA) == []
    during = saved(lab.place, kind)
    assert during.count("--comment banger-br-banger") + during.count('"banger-br-banger"') == 2
    lab.reconcile()
    assert saved(lab.place, kind) == before


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_dockers_policy_does_drop_without_our_two_rules(lab: Lab, kind: str) -> None:
    restore(lab.place, kind, DOCKER)
    lab.reconcile(ALPHA)
    lab.place.sh(f"iptables-{kind} -F DOCKER-USER")
    assert is_cut_off(lab.boot(ALPHA), OUTSIDE)
    lab.reconcile(ALPHA)


DOUBLE = {
    "nft": "nft insert rule ip filter DOCKER-USER iifname br-banger counter accept comment "
    "banger-br-banger",
    "legacy": "iptables-legacy -I DOCKER-USER -i br-banger -m comment "
    "--comment banger-br-banger -j ACCEPT",
}


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_rules_that_were_doubled_or_lost_are_two_again(lab: Lab, kind: str) -> None:
    restore(lab.place, kind, DOCKER)
    lab.reconcile(ALPHA)
    wanted = saved(lab.place, kind)
    lab.place.sh(DOUBLE[kind])
    lab.reconcile(ALPHA)
    assert saved(lab.place, kind) == wanted
    lab.place.sh(f"iptables-{kind} -D DOCKER-USER 1")
    lab.reconcile(ALPHA)
    assert saved(lab.place, kind) == wanted


def test_docker_keeps_its_rules_to_itself_while_no_vm_needs_the_outside(lab: Lab) -> None:
    restore(lab.place, "nft", DOCKER)
    before = saved(lab.place, "nft")
    lab.reconcile(BETA)
    assert saved(lab.place, "nft") == before


def test_port_published_to_the_outside_works_beside_docker(lab: Lab) -> None:
    restore(lab.place, "nft", DOCKER)
    guest = spec("aaaaaaaaaaaa", "10.77.0.2", publish="0.0.0.0:9090:80")
    lab.reconcile(guest)
    lab.serve(lab.boot(guest), "10.77.0.2", 80)
    assert fetch(lab.outside, UPLINK, 9090) == OUTSIDE
    assert is_cut_off(lab.outside, "10.77.0.2", 80)


def test_command_that_is_named_lets_guests_through_a_chain_of_somebodys_own(lab: Lab) -> None:
    lab.place.sh("nft add table inet strict")
    chain = "{ type filter hook forward priority 10 ; policy drop ; }"
    lab.place.sh(f"nft add chain inet strict forward {chain}")
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    assert is_cut_off(guest, OUTSIDE)
    (told,) = obstacles(lab)
    assert "inet strict forward" in told
    for command in told.partition(": ")[2].split(" && "):
        lab.place.sh(command)
    assert fetch(guest, OUTSIDE) == UPLINK
