"""UDP ports of a user-mode guest on the host.

QEMU's own UDP forwards cannot be used here: a network with ``restrict=on`` drops what the guest
answers (libslirp, ``udp_input``). So QEMU copies the frames on the hub of the guest's first device
to a Unix socket, and this relay is one more host on that wire: 10.0.2.4. The guest can send to
peers that have sent to it, and to no others.

The frames of other hosts pass on the same wire. A filter in the kernel drops them before they wake
this process, and a budget bounds what is left.
"""

import asyncio
import contextlib
import socket
import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from services.vm_supervisor.network.frame_budget import FrameBudget
from services.vm_supervisor.network.host_ports import bind
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.network.socket_filter import (
    EQUAL,
    GIVE,
    LOAD_HALF,
    LOAD_WORD,
    WHOLE,
    Step,
    attach,
)
from services.vm_supervisor.network.udp_frames import (
    LARGEST,
    Datagram,
    WireEnd,
    arp_answer,
    read_udp,
    udp_frame,
)
from shared.errors import BangerError, Code
from shared.vm import files

HERE = WireEnd(bytes.fromhex("52550a000204"), socket.inet_aton("10.0.2.4"))
GUEST_ADDRESS = socket.inet_aton("10.0.2.15")
MOST_PEERS = 4096
"""How many peers are remembered. The one that was silent longest is forgotten first."""
PORTS = range(1024, 65536)
_FRAME = 65536
_AT_ONCE = 64
"""Datagrams that are read from one socket before others get their turn."""


class Peer(NamedTuple):
    """A sender to a port of the guest, through one of the relay's sockets."""

    bound: socket.socket
    guest_port: int
    address: tuple[str, int]


@dataclass
class Peers:
    """Gives every peer a port of 10.0.2.4, where the guest sees it."""

    by_port: OrderedDict[int, Peer] = field(default_factory=OrderedDict)
    ports: dict[Peer, int] = field(default_factory=dict)
    next_port: Iterator[int] = field(default_factory=lambda: cycle(PORTS))

    def port(self, peer: Peer) -> int:
        if peer not in self.ports:
            if len(self.ports) >= MOST_PEERS:
                _, oldest = self.by_port.popitem(last=False)
                del self.ports[oldest]
            port = next(port for port in self.next_port if port not in self.by_port)
            self.ports[peer], self.by_port[port] = port, peer
        self.by_port.move_to_end(self.ports[peer])
        return self.ports[peer]

    def forget(self, gone: socket.socket) -> None:
        for peer in [peer for peer in self.ports if peer.bound is gone]:
            del self.by_port[self.ports.pop(peer)]


class UdpRelay:
    """``own_end`` and ``vmm_end`` of the wire are Unix sockets in the VM's run directory."""

    def __init__(self, run: Path, guest_mac: str) -> None:
        self.own_end, self.vmm_end = run / files.UDP_SOCKET, run / files.UDP_VMM_SOCKET
        self._guest = WireEnd(bytes.fromhex(guest_mac.replace(":", "")), GUEST_ADDRESS)
        self._wire: socket.socket | None = None
        self._sockets: dict[Forward, socket.socket] = {}
        self._peers = Peers()
        self._budget = FrameBudget()
        self._resting: asyncio.TimerHandle | None = None

    @property
    def used(self) -> bool:
        return bool(self._sockets)

    def open(self) -> None:
        """Bind this end of the wire, unless it is bound. Raises ``unavailable`` when it cannot be:
        the run directory is full, or the process has no descriptor left."""
        if self._wire is not None:
            return
        try:
            self._wire = _bound_wire(self.own_end)
        except OSError as error:
            message = f"UDP ports cannot be forwarded: {error.strerror}"
            raise BangerError(Code.UNAVAILABLE, message) from error
        asyncio.get_running_loop().add_reader(self._wire, self._from_guest)

    def add(self, forward: Forward, bound: socket.socket | None = None) -> None:
        """``bound``: a socket that has the port already. Raises as ``host_ports.bind``."""
        bound = bound or bind("udp", forward.host, forward.port)
        bound.setblocking(False)
        self._sockets[forward] = bound
        asyncio.get_running_loop().add_reader(bound, self._to_guest, bound, forward.guest_port)

    def remove(self, forward: Forward) -> None:
        bound = self._sockets.pop(forward, None)
        if bound:
            self._peers.forget(bound)
            asyncio.get_running_loop().remove_reader(bound)
            bound.close()

    def close(self) -> None:
        """Close this end and all sockets; the VMM keeps its end."""
        for forward in list(self._sockets):
            self.remove(forward)
        if self._resting:
            self._resting.cancel()
            self._resting = None
        if self._wire:
            asyncio.get_running_loop().remove_reader(self._wire)
            self._wire.close()
            self._wire = None
            self.own_end.unlink(missing_ok=True)

    def _to_guest(self, bound: socket.socket, guest_port: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                payload, sender = bound.recvfrom(_FRAME)
            except OSError:  # nothing more; or an answer that did not arrive: ICMP (udp(7))
                return
            if len(payload) <= LARGEST:
                port = self._peers.port(Peer(bound, guest_port, sender))
                datagram = Datagram(port, guest_port, payload)
                self._send(udp_frame(HERE, self._guest, datagram))

    def _from_guest(self) -> None:
        assert self._wire
        for _ in range(_AT_ONCE):
            if not self._budget.take():
                self._rest()
                return
            try:
                frame = self._wire.recv(_FRAME)
            except OSError:  # nothing more
                return
            if answer := arp_answer(frame, HERE):
                self._send(answer)
            elif datagram := read_udp(frame, HERE):
                self._answer(datagram)

    def _rest(self) -> None:
        """Read nothing of the wire until the next share of the budget is there."""
        assert self._wire
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._wire)
        self._resting = loop.call_later(self._budget.wait(), self._read_on)

    def _read_on(self) -> None:
        assert self._wire
        self._resting = None
        asyncio.get_running_loop().add_reader(self._wire, self._from_guest)

    def _answer(self, datagram: Datagram) -> None:
        peer = self._peers.by_port.get(datagram.target_port)
        if peer and peer.guest_port == datagram.source_port:
            with contextlib.suppress(OSError):  # as lost as any datagram may be
                peer.bound.sendto(datagram.payload, peer.address)

    def _send(self, frame: bytes) -> None:
        assert self._wire
        with contextlib.suppress(OSError):  # the VMM is busy, or gone: as lost as any datagram
            self._wire.sendto(frame, str(self.vmm_end))


def _bound_wire(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        attach(wire, filter_program(HERE))
        wire.bind(str(path))
    except OSError:
        wire.close()
        raise
    return wire


def filter_program(here: WireEnd) -> tuple[Step, ...]:
    """Accept only IPv4 frames to ``here``, and ARP about its address."""
    high, low = struct.unpack("!IH", here.mac)
    (address,) = struct.unpack("!I", here.address)
    return (
        (LOAD_HALF, 0, 0, 12),  # the kind of the frame
        (EQUAL, 0, 2, 0x0806),  # ARP: go on, else to the MAC address
        (LOAD_WORD, 0, 0, 38),  # its target's address
        (EQUAL, 5, 6, address),
        (EQUAL, 0, 5, 0x0800),  # IPv4, else refuse
        (LOAD_WORD, 0, 0, 0),
        (EQUAL, 0, 3, high),
        (LOAD_HALF, 0, 0, 4),
        (EQUAL, 0, 1, low),
        (GIVE, 0, 0, WHOLE),
        (GIVE, 0, 0, 0),
    )
