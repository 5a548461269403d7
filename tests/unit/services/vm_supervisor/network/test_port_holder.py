"""Whose a port is, read from tables and from this machine's own."""

import os
import socket

from services.vm_supervisor.network.port_holder import holder_of, socket_inodes

HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def line(address: str, port: int, state: str, inode: int) -> bytes:
    return (
        f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 "
        f"00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
    ).encode()


def test_listening_sockets_of_the_address_or_of_all_hold_it() -> None:
    table = (
        HEADER
        + line("0100007F", 80, "0A", 1)
        + line("00000000", 80, "0A", 2)
        + line("0200007F", 80, "0A", 3)
        + line("0100007F", 81, "0A", 4)
        + line("0100007F", 80, "06", 5)  # time-wait
    )
    assert list(socket_inodes("tcp", table, "127.0.0.1", 80)) == [1, 2]
    assert list(socket_inodes("tcp", table, "0.0.0.0", 80)) == [1, 2, 3]


def test_a_udp_socket_holds_its_port_connected_or_not() -> None:
    table = HEADER + line("0100007F", 53, "07", 1) + line("0100007F", 53, "01", 2)
    assert list(socket_inodes("udp", table, "127.0.0.1", 53)) == [1, 2]


def test_a_line_cut_short_is_passed_over() -> None:
    assert list(socket_inodes("tcp", HEADER + b"   0: 0100007F:0050\n", "127.0.0.1", 80)) == []


def test_this_very_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = holder_of("tcp", "127.0.0.1", port)
    assert holder
    assert holder.endswith(f"(pid {os.getpid()})")
    assert holder_of("tcp", "127.0.0.1", port) is None
