"""Whose sockets wait: tables as proc(5) shows them, and this machine's own."""

import os
import socket

from services.nat.kernel.sockets import ports_of_others, waiting_ports

TCP = """\
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0
   1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0
   2: 0100007F:9C40 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0
""".splitlines()


def test_sockets_of_others_that_wait_and_no_connections() -> None:
    assert waiting_ports(TCP, "0A", 1000) == {22}
    assert waiting_ports(TCP, "0A", 0) == {8080}


def test_this_machines_tables_are_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        ours = {("tcp", tcp.getsockname()[1]), ("udp", udp.getsockname()[1])}
        assert ours <= ports_of_others(os.geteuid() + 1)
        assert not ours & ports_of_others(os.geteuid())
