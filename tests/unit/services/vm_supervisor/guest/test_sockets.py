"""Reading the guest's socket tables."""

from services.vm_supervisor.guest.sockets import ListeningPort, parse_sockets

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0F02000A:0016 0202000A:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0000
"""


def test_only_listening_sockets_count() -> None:
    assert list(parse_sockets("tcp", TCP)) == [
        ListeningPort("tcp", 22, "0.0.0.0"),
        ListeningPort("tcp", 3000, "127.0.0.1"),
    ]


def test_an_empty_table_has_no_sockets() -> None:
    assert list(parse_sockets("udp", b"")) == []
