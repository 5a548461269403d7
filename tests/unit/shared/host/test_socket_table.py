"""The kernel's socket tables: rows as it writes them, bytes that it never would, and this host's
own."""

import os
import random
import socket
from pathlib import Path

import pytest

from shared.host import socket_table
from shared.host.socket_table import (
    TCP_ESTABLISHED,
    InetSocket,
    UnixSocket,
    inet_sockets,
    open_sockets,
    read_table,
    unix_sockets,
)

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 101 1 0
   1: 0F02000A:0016 0202000A:D2F0 01 00000024:00000000 01:00000019 00000000     0        0 102 4 0
"""
TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A \
00000000:00000000 00:00000000 00000000    33        0 103 1 0
   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A \
00000000:00000000 00:00000000 00000000    33        0 104 1 0
"""
REST = "00000000:00000000 00:00000000 00000000     0        0 1 1 0"


def test_a_row_is_read_whole() -> None:
    assert list(inet_sockets(TCP)) == [
        InetSocket("0.0.0.0", 0x1F90, "0.0.0.0", 0, 0x0A, 1000, 101),
        InetSocket("10.0.2.15", 22, "10.0.2.2", 0xD2F0, TCP_ESTABLISHED, 0, 102),
    ]


def test_ipv6_addresses_and_ipv4_ones_in_the_table_of_ipv6() -> None:
    assert [row.local_address for row in inet_sockets(TCP6)] == ["::1", "127.0.0.1"]


def test_open_sockets_are_those_that_listen() -> None:
    assert [row.local_port for row in open_sockets("tcp", TCP)] == [8080]


def test_open_sockets_of_udp_are_those_that_are_not_connected() -> None:
    table = (
        f" 0: 0100007F:0035 00000000:0000 07 {REST}\n 1: 0100007F:0044 0100007F:0043 01 {REST}\n"
    )
    assert [row.local_port for row in open_sockets("udp", table.encode())] == [53]


@pytest.mark.parametrize(
    "row",
    [
        "0: 00000000 00000000:0000 0A " + REST,
        "0: 00000000: 00000000:0000 0A " + REST,
        "0: 00000000:10000 00000000:0000 0A " + REST,
        "0: 0000000g:0016 00000000:0000 0A " + REST,
        "0: 00:0016 00000000:0000 0A " + REST,
        "0: :0016 00000000:0000 0A " + REST,
        "0: 00000000:0016 00000000:0000 A " + REST,
        "0: 00000000:0016 00000000:0000 0A 0 0 0 0 0 1",
        "0: 00000000:0016",
        "0: 00000000:0016 00000000:0000 0A " + REST.replace(" 1 1 0", f" {'9' * 5000} 1 0"),
    ],
)
def test_a_row_that_no_kernel_writes_is_skipped(row: str) -> None:
    assert list(inet_sockets(f"header\n   {row}\n".encode())) == []


def test_a_socket_without_a_port_is_open_to_nobody() -> None:
    assert list(open_sockets("tcp", f"0: 00000000:0000 00000000:0000 0A {REST}".encode())) == []


@pytest.mark.parametrize("seed", range(20))
def test_foreign_bytes_never_raise(seed: int) -> None:
    chance = random.Random(seed)
    for table in (TCP, TCP6):
        damaged = bytearray(table)
        for _ in range(chance.randrange(1, 40)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        for content in (bytes(damaged), table[: chance.randrange(len(table))]):
            list(inet_sockets(content))


def test_a_table_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_table(tmp_path / "tcp6") == b""


def test_no_more_than_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tcp").write_bytes(TCP)
    monkeypatch.setattr(socket_table, "MAX_TABLE_BYTES", len(TCP) - len(b"2 4 0\n"))
    assert [row.inode for row in inet_sockets(read_table(tmp_path / "tcp"))] == [101]


def test_this_hosts_own_tables(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(path))
        unix.listen()
        for protocol, bound in (("tcp", tcp), ("udp", udp)):
            table = read_table(Path("/proc/net") / protocol)
            assert bound.getsockname() in [
                (row.local_address, row.local_port) for row in inet_sockets(table)
            ]
        assert (True, str(path)) in [(row.listening, row.path) for row in unix_sockets()]


def test_both_ends_of_a_unix_connection_are_there_one_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(str(path))
        listening.listen()
        client.connect(str(path))
        accepted, _ = listening.accept()
        with accepted:
            rows = {row.inode: row for row in unix_sockets()}
            inode = [os.fstat(end.fileno()).st_ino for end in (listening, accepted, client)]
    assert rows[inode[0]] == UnixSocket(True, inode[0], str(path))
    assert rows[inode[1]] == UnixSocket(False, inode[1], str(path))
    assert rows[inode[2]] == UnixSocket(False, inode[2], "")


def test_name_with_a_line_break_is_one_name_and_forges_no_socket() -> None:
    row = "0000000000000000: 00000003 00000000 00000000 0001 03 77 /r/ssh.sock"
    name = b"\0" + os.fsencode(f"{os.getpid()}\n{row}\n") + b"\xff"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(name)
        paths = [each.path for each in unix_sockets()]
    assert os.fsdecode(name) in paths
    assert "/r/ssh.sock" not in paths
