"""Which listening ports of a guest are to appear on the host."""

from services.vm_supervisor.forwards import wanted
from services.vm_supervisor.guest.sockets import ListeningPort


def test_what_accepts_from_outside_appears() -> None:
    listening = [ListeningPort("tcp", 80, "0.0.0.0"), ListeningPort("tcp", 3000, "::")]
    assert wanted(listening) == {"tcp/80": 80, "tcp/3000": 3000}


def test_ssh_has_its_own_way_and_the_guests_loopback_stays_inside() -> None:
    listening = [ListeningPort("tcp", 22, "0.0.0.0"), ListeningPort("tcp", 631, "127.0.0.1")]
    assert wanted(listening) == {}


def test_udp_is_not_forwarded_yet() -> None:
    assert wanted([ListeningPort("udp", 53, "0.0.0.0")]) == {}
