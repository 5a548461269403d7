"""Which of the host's connections are to a VM's ports."""

from dataclasses import replace

import pytest

from services.vm_supervisor.ports.connections import count_connections
from shared.contract.messages.vm import Publication
from shared.host.socket_table import TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN, InetSocket
from tests.example import example_vm
from tests.unit.shared.vm.test_handle import own_handle

VM = "127.77.0.2"
TCP_TIME_WAIT = 0x06


def row(
    local: tuple[str, int], remote: tuple[str, int], state: int = TCP_ESTABLISHED
) -> InetSocket:
    return InetSocket(*local, *remote, state=state, uid=0, inode=1)


CLIENT = ("127.0.0.1", 40000)


@pytest.mark.parametrize(
    ("socket", "counts"),
    [
        (row((VM, 8080), CLIENT), True),
        (row((VM, 8080), CLIENT, TCP_LISTEN), False),
        (row((VM, 8080), CLIENT, TCP_CLOSE_WAIT), True),  # it has asked, and waits for the answer
        (row((VM, 8080), CLIENT, TCP_TIME_WAIT), False),
        (row(CLIENT, (VM, 8080)), False),  # the client's own end
        (row((VM, 2222), CLIENT), False),  # ssh: a session
        (row(("127.77.0.3", 8080), CLIENT), False),
        (row(("127.0.0.1", 3000), CLIENT), True),
        (row(("192.0.2.1", 3001), CLIENT), True),  # published on every address
        (row(("192.0.2.1", 3000), CLIENT), False),
    ],
)
def test_a_connection_to_a_forwarded_or_published_port_counts(
    socket: InetSocket, counts: bool
) -> None:
    vm, handle = example_vm(address=VM), own_handle()
    handle.ports = {"tcp/80": 8080, "udp/53": 2222}
    handle.publish = [
        Publication(host_port=3000, guest_port=80),
        Publication(host_port=3001, guest_port=81, host_address="0.0.0.0"),
    ]
    assert count_connections([socket], vm, handle) == counts


def test_in_bridge_mode_what_this_host_has_opened_to_the_guest_counts() -> None:
    vm, handle = example_vm(network="bridge", address="10.77.0.2"), own_handle()
    handle.access = replace(handle.access, host="10.77.0.2", port=22)
    rows = [
        row(("10.77.0.1", 40000), ("10.77.0.2", 80)),
        row(("10.77.0.1", 40001), ("10.77.0.2", 22)),
        row(("10.77.0.1", 40002), ("10.77.0.3", 80)),
    ]
    assert count_connections(rows, vm, handle) == 1
