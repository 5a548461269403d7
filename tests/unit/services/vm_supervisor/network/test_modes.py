"""What a VM's network looks like to the VMM and to the guest."""

import socket

from services.vm_supervisor.network.modes import bridge_network, choose_port, user_network
from tests.loopback import OWN_ADDRESS


def test_a_vm_without_nat_is_closed_to_the_outside() -> None:
    network = user_network("0123456789ab", "127.77.0.2", 2222, nat=False)
    assert (network.access_host, network.access_port) == ("127.77.0.2", 2222)
    assert network.gateway == ""
    assert network.outside
    assert not network.outside.connected


def test_a_vm_with_nat_has_a_second_device_for_it_and_its_first_stays_closed() -> None:
    network = user_network("0123456789ab", "127.77.0.2", 22, nat=True)
    assert network.gateway == ""
    assert network.outside
    assert network.outside.connected
    assert network.outside.mac != network.mac


def test_a_bridged_guest_is_reached_at_its_own_address() -> None:
    network = bridge_network("0123456789ab", "tap0", "10.7.0.5/16", "10.7.0.1", ("10.7.0.1",))
    assert network.tap == "tap0"
    assert (network.access_host, network.access_port) == ("10.7.0.5", 22)
    assert network.address6 == ""
    both = bridge_network("0123456789ab", "tap0", "10.7.0.5/16", "10.7.0.1", (), "fd00::5/64")
    assert both.address6 == "fd00::5/64"


def test_a_preferred_port_that_is_taken_is_passed_over() -> None:
    with socket.socket() as holder:
        holder.bind((OWN_ADDRESS, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert choose_port(OWN_ADDRESS, (taken,)) != taken


def test_a_udp_port_that_is_taken_is_passed_over_whatever_tcp_has() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((OWN_ADDRESS, 0))
        taken = holder.getsockname()[1]
        assert choose_port(OWN_ADDRESS, (taken,), "udp") != taken
        assert choose_port(OWN_ADDRESS, (taken,), "tcp") == taken


def test_a_port_above_the_last_is_passed_over() -> None:
    assert choose_port(OWN_ADDRESS, (68000,)) < 65536


def test_a_preferred_port_that_is_free_is_chosen() -> None:
    with socket.socket() as holder:
        holder.bind((OWN_ADDRESS, 0))
        free = holder.getsockname()[1]
    assert choose_port(OWN_ADDRESS, (free,)) == free
