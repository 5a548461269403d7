"""Names on the wire."""

import pytest

from services.dns.wire.format import Malformed, read_name, room_for, write_name, write_option

LABEL = b"\x3f" + b"a" * 63


def test_name_is_read_in_lower_case_with_the_offset_after_it() -> None:
    assert read_name(b"xx\x04BeTa\x02vM\0rest", 2) == ((b"beta", b"vm"), 11)


def test_root_has_no_labels() -> None:
    assert read_name(b"\0", 0) == ((), 1)


def test_pointer_leads_back_and_the_name_ends_after_it() -> None:
    packet = b"\x02vm\0\x04beta\xc0\x00rest"
    assert read_name(packet, 4) == ((b"beta", b"vm"), 11)


def test_pointer_to_a_name_that_ends_in_a_pointer_is_followed() -> None:
    packet = b"\x02vm\0\x04beta\xc0\x00\x03www\xc0\x04"
    assert read_name(packet, 11) == ((b"www", b"beta", b"vm"), 17)


@pytest.mark.parametrize(
    ("packet", "at"),
    [
        (b"", 0),
        (b"\x04bet", 0),
        (b"\x04beta", 0),
        (b"\xc0\x00", 0),
        (b"\xc0\x02\xc0\x00", 0),
        (b"\x01a\xc0\x00", 0),
        (b"\xc0", 0),
        (b"\x40" + b"a" * 64 + b"\0", 0),
        (b"\x80abc\0", 0),
        (LABEL * 4 + b"\0", 0),
        (b"\0", 5),
    ],
    ids="empty cut-label no-end self forward loop half 64 0x80 256 beyond".split(),
)
def test_what_is_no_name_is_malformed(packet: bytes, at: int) -> None:
    with pytest.raises(Malformed):
        read_name(packet, at)


def test_chain_of_pointers_has_an_end() -> None:
    packet = b"\0\0" + b"".join((0xC000 + 2 * n).to_bytes(2) for n in range(1000))
    assert read_name(packet, 2 * 127) == ((), 2 * 128)
    with pytest.raises(Malformed):
        read_name(packet, 2 * 128)


def test_longest_name_is_read_and_written() -> None:
    packet = LABEL * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(packet) == 255
    assert write_name(read_name(packet, 0)[0]) == packet


@pytest.mark.parametrize(("announced", "room"), [(0, 512), (600, 600), (4096, 1232)])
def test_room_is_what_was_announced_within_bounds(announced: int, room: int) -> None:
    assert room_for(announced) == room


def test_option_has_our_size_and_the_dnssec_bit_when_it_is_wanted() -> None:
    assert write_option() == b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    assert write_option(dnssec=True) == b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
