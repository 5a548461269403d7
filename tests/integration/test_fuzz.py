"""The broker under bytes that nobody would send: it answers everybody else throughout."""

import random
import time
from pathlib import Path

import msgpack
import pytest
import zmq

from shared.bus import envelope
from shared.bus.envelope import MAX_MESSAGE, PROTOCOL, Envelope, Kind
from tests.integration.peer import Peer
from tests.stack import Stack
from tests.waiting import eventually

SEED = 20_261_122
CONNECTIONS, MESSAGES_EACH = 320, 64
"""A connection is shut out after 64 bad messages: many short ones get deeper than a long one."""
NOBODY = 2**22
"""The one pid that may be named and is never given: a registration of it ends at once."""
MORE_MEMORY = 64 * 1024 * 1024
"""Bytes by which the broker may have grown: its queues are capped at 16 MiB for each peer."""


def good_message(chance: random.Random) -> list[bytes]:
    """A well-formed message of any kind."""
    kind = chance.choice(list(Kind))
    service = "fuzz" if kind is Kind.READY else chance.choice(["echo", "store", "broker", "fuzz"])
    verb = chance.choice(["echo.say", "vm.list", "broker.services", ""])
    header = Envelope(kind, chance.randbytes(16), service, verb, time.monotonic() + 5)
    ready = {"instance": "f", "pid": NOBODY, "build": "f", "protocol": PROTOCOL}
    body = ready if kind is Kind.READY else {"text": "x" * chance.randrange(100)}
    return [envelope.encode(header), msgpack.packb(body)]


def cut(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    return [frame[: chance.randrange(len(frame) + 1)] for frame in frames]


def flip(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    """A few bits of the header's array and of the body, the magic mostly left alone."""
    flipped = [bytearray(frame) for frame in frames]
    for _ in range(chance.randrange(1, 5)):
        frame = chance.choice(flipped)
        position = chance.randrange(
            min(5, len(frame) - 1) if chance.random() < 0.9 else 0, len(frame)
        )
        frame[position] ^= 1 << chance.randrange(8)
    return [bytes(frame) for frame in flipped]


def miscount(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    """One frame, none that matter, or up to fifty."""
    return (frames + [b""] * chance.randrange(50))[: chance.choice([1, 50])] or [b""]


def nest(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    deep = chance.choice([b"\x91", b"\x81\xa1x"]) * chance.randrange(100, 20_000)
    return chance.choice([[envelope.MAGIC + deep, frames[1]], [frames[0], deep]])


def retype(chance: random.Random, frames: list[bytes]) -> list[bytes]:
    fields = list(msgpack.unpackb(frames[0][5:]))
    fields[chance.randrange(5)] = chance.choice([None, -1, 2**63, "x" * 300, b"", [], {}, 1e308])
    return [envelope.MAGIC + msgpack.packb(fields), frames[1]]


def replace(chance: random.Random, _frames: list[bytes]) -> list[bytes]:
    return [chance.randbytes(chance.randrange(200)) for _ in range(chance.randrange(1, 4))]


def keep(_chance: random.Random, frames: list[bytes]) -> list[bytes]:
    return frames


MUTATIONS = [cut, flip, flip, miscount, nest, retype, replace, keep]


def send_from_one_connection(
    context: "zmq.Context[zmq.Socket[bytes]]", path: Path, chance: random.Random
) -> None:
    with context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 5000)  # all of it arrives, also after the close
        dealer.connect(f"ipc://{path}")
        for _ in range(MESSAGES_EACH):
            mutate = chance.choice(MUTATIONS)
            dealer.send_multipart(mutate(chance, good_message(chance)))


def send_too_much(
    context: "zmq.Context[zmq.Socket[bytes]]", path: Path, chance: random.Random
) -> None:
    """Up to the limit, at it, and above the backstop that disconnects."""
    for size in (MAX_MESSAGE - 4096, MAX_MESSAGE, MAX_MESSAGE + 5000):
        with context.socket(zmq.DEALER) as dealer:
            dealer.setsockopt(zmq.LINGER, 5000 if size <= MAX_MESSAGE else 200)
            dealer.connect(f"ipc://{path}")
            dealer.send_multipart([good_message(chance)[0], bytes(size)])


def memory(pid: int) -> int:
    """Resident bytes of a process (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.timeout(120)
def test_broker_serves_on_under_twenty_thousand_mutated_messages(stack: Stack) -> None:
    chance, pid = random.Random(SEED), stack.pid("broker")
    memory_before, descriptors_before = memory(pid), descriptors(pid)
    began = time.monotonic()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with stack.peer() as peer:
        for number in range(CONNECTIONS):
            send_from_one_connection(context, stack.paths.broker_socket, chance)
            if number % 20 == 0:
                assert_alive(peer)
            if number % 100 == 0:
                send_too_much(context, stack.paths.broker_socket, chance)
        context.term()  # returns when everything has been handed over
        assert_alive(peer)
        took = time.monotonic() - began
        eventually(lambda: descriptors(pid) <= descriptors_before + 8)
        assert peer.final(peer.ask("broker", "", kind=Kind.PING))["bad_messages"] > 5_000
    assert stack.pid("broker") == pid, "the broker was replaced"
    assert memory(pid) - memory_before < MORE_MEMORY
    assert took < 55


def assert_alive(peer: Peer) -> None:
    """The broker answers a ping, and carries a real request and its answer."""
    assert peer.final(peer.ask("broker", "", kind=Kind.PING))["services"] >= 3
    assert peer.call("echo", "echo.say", text="alive")["text"] == "alive"
