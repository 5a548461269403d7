"""The kernel's sockets: /proc/net/{tcp,tcp6,udp,udp6}, of this host or of a guest, and this host's
Unix sockets.

Format: Documentation/networking/proc_net_tcp.rst of Linux. A row that does not have the form of its
table is skipped, so bytes that a guest sent never raise here. Unix sockets are got from
sock_diag(7): in /proc/net/unix, a name with a line break forges a row.
"""

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TCP_ESTABLISHED = 0x01
TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT = 0x04, 0x05, 0x08
TCP_LISTEN = 0x0A
UDP_UNCONNECTED = 0x07
"""States as enum tcp_state (Linux's tcp_states.h) numbers them; UDP sockets show TCP_CLOSE."""

MAX_TABLE_BYTES = 16 * 1024 * 1024
"""Some 100,000 sockets. A table that is longer is cut: listening sockets come first in it."""

_OPEN_STATE = {"tcp": TCP_LISTEN, "udp": UDP_UNCONNECTED}
_NETLINK_SOCK_DIAG = 4
_MESSAGE = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port (netlink(7))."""
_REQUEST, _ANSWER = struct.Struct("=BBHIII8s"), struct.Struct("=BBBBI8s")
"""struct unix_diag_req and struct unix_diag_msg."""
_ATTRIBUTE = struct.Struct("=HH")
_BY_FAMILY, _REQUEST_DUMP, _ERROR, _DONE = 20, 0x301, 2, 3
_SHOW_NAME, _NAME = 1, 0
_RECEIVED = 1 << 16
_V4_MAPPED = bytes(10) + b"\xff\xff"

_END_POINT = rb"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})"
_INET_ROW = re.compile(
    rb"^ *\d+: " + _END_POINT + rb" +" + _END_POINT + rb" +([0-9A-F]{2})"
    rb"(?: +[0-9A-F]+:[0-9A-F]+){2} +[0-9A-F]+ +(\d{1,10}) +\d+ +(\d{1,20})(?![^ \n])",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class InetSocket:
    """One row of tcp, tcp6, udp or udp6. An IPv4-mapped IPv6 address is given as IPv4."""

    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    state: int
    uid: int
    inode: int


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """``path`` is "" for a socket without a name; an abstract one begins with "\\0"."""

    listening: bool
    inode: int
    path: str


def read_table(path: Path, *, whole: bool = False) -> bytes:
    """The table at ``path``; empty where the kernel has none, as one without IPv6 has no tcp6.

    It is cut at ``MAX_TABLE_BYTES`` unless ``whole``, which is for decisions that a missing row
    would make wrong.
    """
    try:
        with path.open("rb") as file:
            table = file.read(-1 if whole else MAX_TABLE_BYTES)
    except FileNotFoundError:
        return b""
    return table[: table.rfind(b"\n") + 1]  # without the row that the limit cut


def inet_sockets(table: bytes) -> Iterator[InetSocket]:
    """The rows of tcp, tcp6, udp or udp6."""
    for row in _INET_ROW.finditer(table):
        local, local_port, remote, remote_port, state, uid, inode = row.groups()
        yield InetSocket(
            local_address=_address(local),
            local_port=int(local_port, 16),
            remote_address=_address(remote),
            remote_port=int(remote_port, 16),
            state=int(state, 16),
            uid=int(uid),
            inode=int(inode),
        )


def open_sockets(protocol: Literal["tcp", "udp"], table: bytes) -> Iterator[InetSocket]:
    """Those that take connections (TCP) or datagrams (UDP) from anybody."""
    state = _OPEN_STATE[protocol]
    return (row for row in inet_sockets(table) if row.state == state and row.local_port)


def unix_sockets() -> list[UnixSocket]:
    """The Unix sockets of this network namespace. Both ends of a connection are listed, only the
    accepted one with a path. Raises OSError where the kernel has no sock_diag(7)."""
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOW_NAME, b"\xff" * 8)
    length = _MESSAGE.size + len(request)
    found: list[UnixSocket] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(_MESSAGE.pack(length, _BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        while True:
            for kind, body in _messages(kernel.recv(_RECEIVED)):
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                found.append(_unix_socket(body))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message of a datagram."""
    start = 0
    while start < len(data):
        length, kind, *_ = _MESSAGE.unpack_from(data, start)
        yield kind, data[start + _MESSAGE.size : start + length]
        start += length + 3 & ~3


def _unix_socket(body: bytes) -> UnixSocket:
    _, _, state, _, inode, _ = _ANSWER.unpack_from(body)
    name, start = b"", _ANSWER.size
    while start < len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, start)
        if kind == _NAME:
            name = body[start + _ATTRIBUTE.size : start + length]
        start += max(length, _ATTRIBUTE.size) + 3 & ~3
    # The name of a path ends with its NUL.
    path = name if name.startswith(b"\0") else name.rstrip(b"\0")
    return UnixSocket(state == TCP_LISTEN, inode, path.decode(errors="surrogateescape"))


def _address(digits: bytes) -> str:
    """``0100007F`` is 127.0.0.1: 32-bit words in the byte order of x86 (little-endian)."""
    raw = bytes.fromhex(digits.decode())
    packed = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    packed = packed.removeprefix(_V4_MAPPED)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
