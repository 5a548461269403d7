"""What the kernel does not take at once: kept in order, capped, and failed for that peer alone."""

from dataclasses import dataclass, field

import pytest

from services.broker.core import Send
from services.broker.outbox import MAX_BYTES, MAX_MESSAGES, Outbox
from shared.errors import Code

SLOW, QUICK = b"slow", b"quick"


@dataclass
class Kernel:
    """A scripted Router.send: peers in ``refused`` are answered their code."""

    refused: dict[bytes, Code] = field(default_factory=dict)
    taken: list[tuple[bytes, bytes]] = field(default_factory=list)

    def send(self, peer: bytes, header: bytes, body: bytes) -> Code | None:
        if peer not in self.refused:
            self.taken.append((peer, body))
        return self.refused.get(peer)


def message(peer: bytes, body: bytes = b"") -> Send:
    return Send(peer, b"", body, bytes(16))


def numbered(peer: bytes, count: int) -> list[Send]:
    return [message(peer, str(number).encode()) for number in range(count)]


def test_message_that_is_taken_is_not_kept() -> None:
    kernel = Kernel()
    outbox = Outbox(kernel.send)
    assert outbox.push(message(QUICK, b"x")) is None
    assert kernel.taken == [(QUICK, b"x")]
    assert not outbox


def test_order_is_kept_even_when_the_kernel_has_room_again() -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    first, second, third = numbered(SLOW, 3)
    assert outbox.push(first) is None
    assert outbox.push(second) is None
    kernel.refused.clear()
    assert outbox.push(third) is None
    assert outbox.flush() == []
    assert [body for _, body in kernel.taken] == [b"0", b"1", b"2"]
    assert not outbox


def test_slow_peer_holds_up_nobody_else() -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    outbox.push(message(SLOW))
    outbox.push(message(QUICK, b"now"))
    assert outbox.flush() == []
    assert kernel.taken == [(QUICK, b"now")]
    assert outbox


def test_message_over_the_count_is_busy_and_the_others_stay() -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    codes = [outbox.push(each) for each in numbered(SLOW, MAX_MESSAGES + 1)]
    assert codes == [None] * MAX_MESSAGES + [Code.BUSY]
    kernel.refused.clear()
    outbox.flush()
    assert len(kernel.taken) == MAX_MESSAGES


def test_message_over_the_bytes_is_busy_until_there_is_room() -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    quarter = bytes(MAX_BYTES // 4)
    assert [outbox.push(message(SLOW, quarter)) for _ in range(5)] == [None] * 4 + [Code.BUSY]
    kernel.refused.clear()
    outbox.flush()
    kernel.refused[SLOW] = Code.BUSY
    assert [outbox.push(message(SLOW, quarter)) for _ in range(5)] == [None] * 4 + [Code.BUSY]


def test_single_message_over_the_bytes_leaves_no_queue_behind() -> None:
    outbox = Outbox(Kernel({SLOW: Code.BUSY}).send)
    assert outbox.push(message(SLOW, bytes(MAX_BYTES + 1))) is Code.BUSY
    assert not outbox
    assert outbox.flush() == []


def test_peer_that_is_gone_is_unavailable_at_once() -> None:
    outbox = Outbox(Kernel({SLOW: Code.UNAVAILABLE}).send)
    assert outbox.push(message(SLOW)) is Code.UNAVAILABLE
    assert not outbox


@pytest.mark.parametrize("waiting", [1, 5])
def test_queue_of_a_peer_that_went_away_is_returned_whole(waiting: int) -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    messages = numbered(SLOW, waiting)
    for each in messages:
        outbox.push(each)
    kernel.refused[SLOW] = Code.UNAVAILABLE
    assert outbox.flush() == [(each, Code.UNAVAILABLE) for each in messages]
    assert not outbox


def test_flush_stops_where_the_kernel_is_full_again() -> None:
    kernel = Kernel({SLOW: Code.BUSY})
    outbox = Outbox(kernel.send)
    for each in numbered(SLOW, 3):
        outbox.push(each)
    assert outbox.flush() == []
    assert kernel.taken == []
    kernel.refused.clear()
    outbox.flush()
    assert [body for _, body in kernel.taken] == [b"0", b"1", b"2"]
