"""Ethernet frames that carry UDP to a guest and back, and the ARP in between. Pure.

RFC 826 (ARP), RFC 791 (IPv4), RFC 768 (UDP). There are no fragments, so a datagram has at most 1472
bytes. Frames that are read come from a guest and may be anything.
"""

import struct
from dataclasses import dataclass

LARGEST = 1472
"""Bytes of a datagram in one frame: 1500 without the two headers."""

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_IS_IPV4, _IS_ARP = 0x0800, 0x0806
_IS_UDP = 17
_REQUEST, _REPLY = 1, 2
_DO_NOT_FRAGMENT = 0x4000


@dataclass(frozen=True)
class WireEnd:
    """One end of a wire: ``mac`` has 6 bytes, ``address`` (IPv4) 4."""

    mac: bytes
    address: bytes


@dataclass(frozen=True)
class Datagram:
    source_port: int
    target_port: int
    payload: bytes


def udp_frame(source: WireEnd, target: WireEnd, datagram: Datagram) -> bytes:
    """``datagram`` as a frame, without a UDP checksum, which is optional in IPv4."""
    length = _UDP.size + len(datagram.payload)
    udp = _UDP.pack(datagram.source_port, datagram.target_port, length, 0)
    fields = (0x45, 0, _IPV4.size + length, 0, _DO_NOT_FRAGMENT, 64, _IS_UDP)
    header = _IPV4.pack(*fields, 0, source.address, target.address)
    header = _IPV4.pack(*fields, checksum(header), source.address, target.address)
    return _ETHERNET.pack(target.mac, source.mac, _IS_IPV4) + header + udp + datagram.payload


def read_udp(frame: bytes, here: WireEnd) -> Datagram | None:
    """The datagram of a frame to ``here``; None for every other frame, and for fragments."""
    try:
        _, _, kind = _ETHERNET.unpack_from(frame)
        version, _, total, _, fragment, _, protocol, _, _, target = _IPV4.unpack_from(
            frame, _ETHERNET.size
        )
        start = _ETHERNET.size + (version & 0x0F) * 4
        source_port, target_port, length, _ = _UDP.unpack_from(frame, start)
    except struct.error:
        return None
    is_udp = kind == _IS_IPV4 and version >> 4 == 4 and protocol == _IS_UDP
    if not is_udp or target != here.address or fragment & ~_DO_NOT_FRAGMENT:
        return None
    end = start + length
    if version & 0x0F < 5 or length < _UDP.size or end > min(len(frame), _ETHERNET.size + total):
        return None
    return Datagram(source_port, target_port, frame[start + _UDP.size : end])


def arp_answer(frame: bytes, here: WireEnd) -> bytes | None:
    """The answer to a request for the address of ``here``; None for other frames."""
    try:
        _, _, kind = _ETHERNET.unpack_from(frame)
        *fixed, operation, asker, from_address, _, wanted = _ARP.unpack_from(frame, _ETHERNET.size)
    except struct.error:
        return None
    if (kind, operation, wanted) != (_IS_ARP, _REQUEST, here.address):
        return None
    answer = _ARP.pack(*fixed, _REPLY, here.mac, here.address, asker, from_address)
    return _ETHERNET.pack(asker, here.mac, _IS_ARP) + answer


def checksum(header: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
