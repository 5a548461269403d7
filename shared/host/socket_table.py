"""The kernel's tables of sockets: /proc/net/{tcp,tcp6,udp,udp6,unix}, of this host or of a guest.

Formats: Documentation/networking/proc_net_tcp.rst of Linux, and proc(5) for "unix". A row that
does not have the form of its table is skipped, so bytes that a guest sent never raise here.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TCP_ESTABLISHED = 0x01
TCP_LISTEN = 0x0A
UDP_UNCONNECTED = 0x07
"""States as enum tcp_state (Linux's tcp_states.h) numbers them; UDP sockets show TCP_CLOSE."""

MAX_TABLE_BYTES = 16 * 1024 * 1024
"""Some 100,000 sockets. A table that is longer is cut: listening sockets come first in it."""

_OPEN_STATE = {"tcp": TCP_LISTEN, "udp": UDP_UNCONNECTED}
_ACCEPTING = 0x10000
"""Flag of a listening Unix socket (__SO_ACCEPTCON)."""
_V4_MAPPED = bytes(10) + b"\xff\xff"

_END_POINT = rb"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})"
_INET_ROW = re.compile(
    rb"^ *\d+: " + _END_POINT + rb" +" + _END_POINT + rb" +([0-9A-F]{2})"
    rb"(?: +[0-9A-F]+:[0-9A-F]+){2} +[0-9A-F]+ +(\d{1,10}) +\d+ +(\d{1,20})(?![^ \n])",
    re.MULTILINE,
)
_UNIX_ROW = re.compile(
    rb"^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]{8}) [0-9A-F]+ [0-9A-F]{2} +(\d{1,20})(?: (.+))?$",
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
    """One row of unix. ``path`` is "" for a socket without a name; an abstract one begins "@"."""

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


def unix_sockets(table: bytes) -> Iterator[UnixSocket]:
    """The rows of unix. Both ends of a connection are listed, only the accepted one with a path."""
    for row in _UNIX_ROW.finditer(table):
        flags, inode, path = row.groups(default=b"")
        listening = bool(int(flags, 16) & _ACCEPTING)
        yield UnixSocket(listening, int(inode), path.decode(errors="surrogateescape"))


def _address(digits: bytes) -> str:
    """``0100007F`` is 127.0.0.1: 32-bit words in the byte order of x86 (little-endian)."""
    raw = bytes.fromhex(digits.decode())
    packed = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    packed = packed.removeprefix(_V4_MAPPED)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
