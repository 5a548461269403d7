"""A name server of the outside, on a real socket, that answers what a test tells it to."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dnslib import RR, DNSError, DNSRecord

from tests.integration.namespaces import Place

T = TypeVar("T")
LENGTH = struct.Struct("!H")
REFUSAL = struct.pack("!HHHHH", 0x8004, 0, 0, 0, 0)
"""A header without its id: a response, NOTIMP."""


@dataclass(frozen=True)
class Asked:
    """One question as it arrived."""

    record: DNSRecord
    tcp: bool
    port: int
    """The asker's."""

    @property
    def name(self) -> str:
        return str(self.record.q.qname)


Script = Callable[[Asked], list[bytes]]
"""The messages to send back; none is silence."""


def says(*answers: str, **header: int) -> Script:
    """These records in zone file form, to whatever was asked."""

    def script(asked: Asked) -> list[bytes]:
        return [reply_to(asked, *answers, **header)]

    return script


def reply_to(asked: Asked, *answers: str, **header: int) -> bytes:
    reply = asked.record.reply(aa=0)
    for answer in answers:
        reply.add_answer(*RR.fromZone(answer))
    for name, value in header.items():
        setattr(reply.header, name, value)
    return bytes(reply.pack())


def silent(_asked: Asked) -> list[bytes]:
    return []


class Here:
    """This process's own namespace."""

    def run(self, action: Callable[[], T]) -> T:
        return action()


class Upstream:
    """UDP and TCP on one port; ``close`` it. ``asked`` holds what came, in order."""

    def __init__(self, place: Place, host: str, script: Script, *, port: int = 0) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._udp = place.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._udp.bind((host, port))
        self.port = int(self._udp.getsockname()[1])
        self._tcp = place.run(lambda: socket.create_server((host, self.port)))
        self._stop, self._told = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._told.send(b"x")
        self._thread.join()
        for each in (self._udp, self._tcp, self._stop, self._told):
            each.close()

    def names(self) -> list[str]:
        return [asked.name for asked in self.asked]

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._stop], [], [])
            if self._stop in ready:
                return
            if self._udp in ready:
                self._by_udp()
            if self._tcp in ready:
                self._by_tcp()

    def _by_udp(self) -> None:
        packet, peer = self._udp.recvfrom(65535)
        for answer in self._answers(packet, tcp=False, port=peer[1]):
            self._udp.sendto(answer, peer)

    def _by_tcp(self) -> None:
        connection, peer = self._tcp.accept()
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            connection.settimeout(5)
            (length,) = LENGTH.unpack(stream.read(LENGTH.size))
            for answer in self._answers(stream.read(length), tcp=True, port=peer[1]):
                connection.sendall(LENGTH.pack(len(answer)) + answer)

    def _answers(self, packet: bytes, *, tcp: bool, port: int) -> list[bytes]:
        try:
            asked = Asked(DNSRecord.parse(packet), tcp, port)
        except DNSError:  # dnslib wants text in labels
            return [packet[:2] + REFUSAL]
        self.asked.append(asked)
        return self.script(asked)
