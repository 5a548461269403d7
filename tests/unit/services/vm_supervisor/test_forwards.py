"""Which listening ports of a guest are to appear on the host."""

import pytest

from services.vm_supervisor.forwards import wanted
from services.vm_supervisor.guest.sockets import ListeningPort


def test_what_accepts_from_outside_appears() -> None:
    listening = [ListeningPort("tcp", 80, "0.0.0.0"), ListeningPort("tcp", 3000, "::")]
    assert wanted(listening) == {"tcp/80": 80, "tcp/3000": 3000}


def test_ssh_has_its_own_way_and_the_guests_loopback_stays_inside() -> None:
    listening = [ListeningPort("tcp", 22, "0.0.0.0"), ListeningPort("tcp", 631, "127.0.0.1")]
    assert wanted(listening) == {}


def test_udp_appears_too() -> None:
    listening = [ListeningPort("udp", 53, "0.0.0.0"), ListeningPort("udp", 5353, "::")]
    assert wanted(listening) == {"udp/53": 53, "udp/5353": 5353}


@pytest.mark.parametrize("port", [68, 546, 32768, 60999])
def test_what_may_be_a_udp_client_does_not(port: int) -> None:
    assert wanted([ListeningPort("udp", port, "0.0.0.0")]) == {}
    assert wanted([ListeningPort("tcp", port, "0.0.0.0")]) == {f"tcp/{port}": port}
