"""ZMTP against the bytes that the RFC prescribes; libzmq itself is met in tests/integration."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import zmtp
from shared.bus.zmtp import MAX_BODY, MAX_COMMAND, MAX_FRAMES
from shared.errors import BangerError, Code

GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
MESSAGES = st.lists(st.binary(max_size=300), min_size=1, max_size=MAX_FRAMES)


def refused(data: bytes) -> str:
    with pytest.raises(BangerError) as caught:
        zmtp.next_traffic(data)
    assert caught.value.code is Code.BAD_MESSAGE
    return caught.value.message


# -- what we send ---------------------------------------------------------------------------


def test_greeting_and_ready_are_the_bytes_of_the_rfc() -> None:
    assert zmtp.greeting() == GREETING
    assert zmtp.ready(b"DEALER") == READY


def test_a_frame_has_a_short_size_as_long_as_it_fits() -> None:
    assert zmtp.message(b"") == b"\0\0"
    assert zmtp.message(b"head", b"x" * 255) == b"\x01\x04head" + b"\0\xff" + b"x" * 255
    assert zmtp.message(b"x" * 256, b"") == b"\x03\0\0\0\0\0\0\x01\0" + b"x" * 256 + b"\0\0"


@pytest.mark.parametrize("context", [b"", b"0123456789abcdef"])
def test_a_ping_is_answered_with_its_context(context: bytes) -> None:
    ping = b"\x04PING" + b"\0\x0a" + context
    assert zmtp.pong(ping) == bytes((4, 5 + len(context))) + b"\x04PONG" + context


@pytest.mark.parametrize("body", [b"", b"\x04PONG", b"\x09SUBSCRIBE", b"PING"])
def test_no_other_command_is_answered(body: bytes) -> None:
    assert zmtp.pong(body) == b""


# -- greeting and handshake -----------------------------------------------------------------


@pytest.mark.parametrize("version", [b"\x03\0", b"\x03\x01", b"\x04\x02", b"\xff\xff"])
def test_this_version_and_newer_ones_are_greeted(version: bytes) -> None:
    whole = b"\xff12345678\x7f" + version + GREETING[12:]
    for size in range(len(whole) + 1):
        zmtp.check_greeting(whole[:size])


@pytest.mark.parametrize(
    ("greeting", "known_after", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, "does not greet"),
        (b"\xff\0\0\0\0\0\0\0\x01\x00", 10, "does not greet"),
        (b"\xff\0\0\0\0\0\0\0\0\x7f\x01\x05\0\0", 11, "version 1"),
        (GREETING[:12] + b"CURVE", 13, "mechanism b'C"),
        (GREETING[:12] + b"NULLIFY", 17, "mechanism b'NULLI"),
    ],
)
def test_another_greeting_is_refused_at_its_first_wrong_byte(
    greeting: bytes, known_after: int, why: str
) -> None:
    zmtp.check_greeting(greeting[: known_after - 1])
    with pytest.raises(BangerError, match=why) as caught:
        zmtp.check_greeting(greeting[:known_after])
    assert caught.value.code is Code.BAD_MESSAGE


def test_ready_is_accepted_whatever_it_holds() -> None:
    for body in (READY[2:], b"\x05READY", b"\x05READY\x01X\0\0\0\0"):
        zmtp.check_ready(body)


def test_an_error_is_told_with_its_reason_and_without_its_control_characters() -> None:
    with pytest.raises(BangerError, match="Invalid") as caught:
        zmtp.check_ready(b"\x05ERROR\x0cInvalid\x1b[2J\xff")
    assert caught.value.code is Code.DENIED
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("body", [b"", b"READY", b"\x05HELLO", b"\x04PING\0\0"])
def test_any_other_first_command_is_refused(body: bytes) -> None:
    with pytest.raises(BangerError, match="not READY") as caught:
        zmtp.check_ready(body)
    assert caught.value.code is Code.BAD_MESSAGE


# -- traffic --------------------------------------------------------------------------------


@given(MESSAGES, st.binary(max_size=20), st.binary(max_size=20))
def test_any_message_comes_back_as_it_was_and_what_follows_is_left(
    bodies: list[bytes], before: bytes, after: bytes
) -> None:
    data = before + zmtp.message(*bodies) + after
    end = len(data) - len(after)
    assert zmtp.next_traffic(data, len(before)) == (bodies, [], end)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_no_part_of_a_message_is_taken_for_all_of_it(bodies: list[bytes]) -> None:
    whole = zmtp.message(*bodies)
    for size in range(len(whole)):
        assert zmtp.next_traffic(whole[:size]) is None


def test_a_long_frame_may_be_short() -> None:
    assert zmtp.next_traffic(b"\x02\0\0\0\0\0\0\0\x01x") == ([b"x"], [], 10)


def test_a_command_stands_alone_before_a_message_and_goes_with_it_in_the_middle() -> None:
    ping, whole = zmtp.command(b"PING", b"\0\0"), zmtp.message(b"head", b"body")
    assert zmtp.next_traffic(ping + whole) == ([], [ping[2:]], len(ping))
    torn = whole[:6] + ping + whole[6:]
    assert zmtp.next_traffic(torn[:-1]) is None
    assert zmtp.next_traffic(torn) == ([b"head", b"body"], [ping[2:]], len(torn))


@pytest.mark.parametrize("flags", [0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x05, 0x07])
def test_flags_that_mean_nothing_are_refused_at_once(flags: int) -> None:
    assert f"flags {flags:#x}" in refused(bytes((flags,)))


def test_a_size_over_the_limit_is_refused_before_its_bytes_come() -> None:
    at_limit = b"\x02" + MAX_BODY.to_bytes(8, "big")
    assert zmtp.next_traffic(at_limit) is None
    for size in (MAX_BODY + 1, 2**63, 2**64 - 1):
        assert "limit" in refused(b"\x02" + size.to_bytes(8, "big"))


def test_the_limit_is_that_of_all_frames_together() -> None:
    half = b"\x03" + (MAX_BODY // 2).to_bytes(8, "big") + bytes(MAX_BODY // 2)
    assert zmtp.next_traffic(half + half) is None
    assert "limit" in refused(half + half + b"\0\x01")


def test_frames_without_bytes_are_counted_too() -> None:
    assert zmtp.next_traffic(b"\x01\0" * MAX_FRAMES) is None
    assert "limit" in refused(b"\x01\0" * MAX_FRAMES + b"\0\0")


def test_a_command_over_its_limit_is_refused() -> None:
    assert zmtp.next_traffic(b"\x06" + MAX_COMMAND.to_bytes(8, "big")) is None
    assert "limit" in refused(b"\x06" + (MAX_COMMAND + 1).to_bytes(8, "big"))


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise_anything_else(noise: bytes) -> None:
    for check in (zmtp.check_greeting, zmtp.check_ready):
        with suppress(BangerError):
            check(noise)
    with suppress(BangerError):
        traffic = zmtp.next_traffic(noise)
        if traffic is not None:
            frames, commands, end = traffic
            assert frames or commands
            assert 0 < end <= len(noise)
