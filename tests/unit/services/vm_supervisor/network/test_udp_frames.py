"""Frames of UDP and ARP, read and written, and whatever else a guest may send."""

import random
import socket
from dataclasses import replace

import pytest

from services.vm_supervisor.network.udp_frames import (
    Datagram,
    WireEnd,
    arp_answer,
    checksum,
    read_udp,
    udp_frame,
)

GUEST = WireEnd(bytes.fromhex("020304050607"), socket.inet_aton("10.0.2.15"))
HERE = WireEnd(bytes.fromhex("52550a000204"), socket.inet_aton("10.0.2.4"))
HELLO = Datagram(1024, 53, b"hello")

WHO_HAS = bytes.fromhex(
    "ffffffffffff 020304050607 08060001 0800 06 04 0001 020304050607 0a00020f 000000000000 0a000204"
)
"""The guest asks who has 10.0.2.4, as RFC 826 has it."""


def test_a_datagram_comes_back_as_it_was() -> None:
    assert read_udp(udp_frame(GUEST, HERE, HELLO), HERE) == HELLO


def test_the_header_is_what_rfc_791_wants() -> None:
    frame = udp_frame(HERE, GUEST, HELLO)
    assert frame[:14] == GUEST.mac + HERE.mac + b"\x08\x00"
    assert checksum(frame[14:34]) == 0  # a header with its checksum sums up to that
    assert int.from_bytes(frame[16:18], "big") == len(frame) - 14


def test_an_odd_sum_is_carried_around() -> None:
    """The example of RFC 1071 section 3."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_padding_behind_a_short_datagram_is_none_of_it() -> None:
    frame = udp_frame(GUEST, HERE, HELLO) + bytes(20)
    assert read_udp(frame, HERE) == HELLO


def test_what_is_for_another_address_is_not_ours() -> None:
    elsewhere = replace(HERE, address=socket.inet_aton("10.0.2.2"))
    assert read_udp(udp_frame(GUEST, elsewhere, HELLO), HERE) is None


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (12, b"\x86\xdd"),  # IPv6
        (14, b"\x65"),
        (14, b"\x44"),  # a header shorter than a header is
        (14, b"\x4f"),  # options as long as they can be, over the end
        (16, b"\x00\x14"),  # a total that has no room for UDP
        (20, b"\x20\x00"),  # the first of several fragments
        (20, b"\x00\x01"),  # a later one
        (23, b"\x06"),  # TCP
        (38, b"\x00\x07"),  # UDP shorter than its header
        (38, b"\xff\xff"),
    ],
)
def test_what_is_no_whole_datagram_is_left_alone(where: int, what: bytes) -> None:
    frame = udp_frame(GUEST, HERE, HELLO)
    assert read_udp(frame[:where] + what + frame[where + len(what) :], HERE) is None


def test_every_beginning_of_a_frame_is_survived() -> None:
    frame = udp_frame(GUEST, HERE, HELLO)
    assert [read_udp(frame[:size], HERE) for size in range(len(frame))] == [None] * len(frame)
    assert not any(arp_answer(WHO_HAS[:size], HERE) for size in range(len(WHO_HAS)))


def test_mangled_frames_are_survived() -> None:
    dice = random.Random(5)
    for _ in range(20_000):
        frame = bytearray(dice.choice((udp_frame(GUEST, HERE, HELLO), WHO_HAS)))
        for _ in range(dice.randint(1, 6)):
            frame[dice.randrange(len(frame))] = dice.randrange(256)
        datagram = read_udp(bytes(frame), HERE)
        assert datagram is None or len(datagram.payload) <= len(frame)
        answer = arp_answer(bytes(frame), HERE)
        assert answer is None or len(answer) == len(WHO_HAS)


def test_who_asks_for_our_address_is_told() -> None:
    assert arp_answer(WHO_HAS, HERE) == bytes.fromhex(
        "020304050607 52550a000204 0806"
        "0001 0800 06 04 0002 52550a000204 0a000204 020304050607 0a00020f"
    )


def test_who_asks_for_another_is_not_answered() -> None:
    assert arp_answer(WHO_HAS[:-1] + b"\x02", HERE) is None
    assert arp_answer(udp_frame(GUEST, HERE, HELLO), HERE) is None
