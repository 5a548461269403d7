"""The connection of a client, with a peer that says byte for byte what a test lets it say."""

import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from shared.bus import unix_dealer, zmtp
from shared.bus.envelope import MAX_MESSAGE, Envelope, Kind, encode
from shared.bus.unix_dealer import RECONNECT_SECONDS, UnixDealer
from shared.errors import BangerError, Code

HEADER = Envelope(Kind.REQUEST, bytes(16), "store", "vm.list", 12.5)
HELLO = zmtp.greeting() + zmtp.ready(b"DEALER")
WELCOME = zmtp.greeting() + zmtp.ready(b"ROUTER")
PATIENCE = 10.0
ANSWER = [b"head", b"body"]


class ScriptedBroker:
    """A listening socket and the last connection to it; what is sent over that has arrived when
    ``sendall`` returns."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._accepted: list[socket.socket] = []

    def accept(self, *, patience: float = PATIENCE) -> socket.socket:
        """The next connection; its peer has introduced itself."""
        self._listener.settimeout(patience)
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        for before in self._accepted:
            before.close()
        self._accepted = [connection]
        assert connection.recv(len(HELLO), socket.MSG_WAITALL) == HELLO
        return connection

    def close(self) -> None:
        for each in (self._listener, *self._accepted):
            each.close()


@pytest.fixture
def path() -> Iterator[Path]:
    """Short, as a Unix socket's path has to be."""
    directory = Path(tempfile.mkdtemp(prefix="bngr", dir="/tmp"))
    yield directory / "broker.sock"
    shutil.rmtree(directory)


@pytest.fixture
def broker(path: Path) -> Iterator[ScriptedBroker]:
    broker = ScriptedBroker(path)
    yield broker
    broker.close()


@pytest.fixture
def dealer(broker: ScriptedBroker, path: Path) -> Iterator[UnixDealer]:
    dealer = UnixDealer(path)
    yield dealer
    dealer.close()


def welcome(dealer: UnixDealer, broker: ScriptedBroker) -> socket.socket:
    """Bring the next connection up."""
    wire = broker.accept()
    wire.sendall(WELCOME)
    assert dealer.wait(PATIENCE) == (False, True)
    assert list(dealer.link_changes()) == [True]
    return wire


@pytest.fixture
def wire(dealer: UnixDealer, broker: ScriptedBroker) -> socket.socket:
    """The other end of a connection that is up."""
    return welcome(dealer, broker)


def error_of(step: Callable[[], object]) -> BangerError:
    with pytest.raises(BangerError) as caught:
        step()
    return caught.value


def is_closed(wire: socket.socket) -> bool:
    """Whether the other end is; with bytes it has not read, that is a reset."""
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


# -- the connection comes up ----------------------------------------------------------------


def test_handshake_may_come_byte_by_byte(dealer: UnixDealer, broker: ScriptedBroker) -> None:
    wire = broker.accept()
    for at in range(len(WELCOME)):
        assert dealer.wait(0) == (False, False)
        assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE
        wire.sendall(WELCOME[at : at + 1])
    assert dealer.wait(0) == (False, True)
    dealer.send(HEADER, b"body")
    assert wire.recv(1000) == zmtp.message(encode(HEADER), b"body")


def test_message_may_come_with_the_handshake(dealer: UnixDealer, broker: ScriptedBroker) -> None:
    broker.accept().sendall(WELCOME + zmtp.message(*ANSWER))
    assert dealer.wait(PATIENCE) == (False, True)
    assert list(dealer.link_changes()) == [True]
    assert dealer.wait(PATIENCE) == (True, False)
    assert dealer.receive() == ANSWER


def test_who_is_not_there_is_looked_for_until_time_is_up(path: Path) -> None:
    dealer = UnixDealer(path)
    began = time.monotonic()
    assert dealer.wait(0.1) == (False, False)
    assert time.monotonic() - began >= 0.1
    assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE
    late = ScriptedBroker(path)
    assert dealer.wait(0) == (False, False)
    welcome(dealer, late)
    dealer.close()
    late.close()


def test_socket_that_a_killed_broker_left_is_nobody(path: Path) -> None:
    ScriptedBroker(path).close()
    dealer = UnixDealer(path)
    assert dealer.wait(0) == (False, False)
    assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE
    dealer.close()


def test_who_hangs_up_on_everyone_is_not_called_without_a_pause(path: Path) -> None:
    broker = socket.socket(socket.AF_UNIX)
    broker.bind(str(path))
    broker.listen()
    calls: list[None] = []

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                broker.accept()[0].close()
                calls.append(None)

    thread = threading.Thread(target=hang_up)
    thread.start()
    dealer = UnixDealer(path)
    waited = 5 * RECONNECT_SECONDS
    assert dealer.wait(waited) == (False, False)
    dealer.close()
    broker.shutdown(socket.SHUT_RDWR)
    thread.join()
    broker.close()
    assert len(calls) <= 7


# -- messages -------------------------------------------------------------------------------


def test_message_may_come_byte_by_byte(dealer: UnixDealer, wire: socket.socket) -> None:
    whole = zmtp.message(*ANSWER)
    for at in range(len(whole)):
        assert dealer.wait(0) == (False, False)
        assert dealer.receive() is None
        wire.sendall(whole[at : at + 1])
    assert dealer.wait(0) == (True, False)
    assert dealer.receive() == ANSWER
    assert dealer.receive() is None


def test_messages_that_come_together_are_taken_apart(
    dealer: UnixDealer, wire: socket.socket
) -> None:
    first, second, third = (zmtp.message(b"head", body) for body in (b"1", b"2" * 300, b""))
    wire.sendall(first + second + third[:-1])
    assert dealer.wait(PATIENCE) == (True, False)
    assert [dealer.receive(), dealer.receive(), dealer.receive()] == [
        [b"head", b"1"],
        [b"head", b"2" * 300],
        None,
    ]
    wire.sendall(third[-1:])
    assert dealer.wait(PATIENCE) == (True, False)
    assert dealer.receive() == [b"head", b""]


def test_ping_is_answered_and_is_no_message(dealer: UnixDealer, wire: socket.socket) -> None:
    wire.sendall(zmtp.command(b"PING", b"\0\0context"))
    assert dealer.wait(0) == (False, False)
    assert dealer.wait(0) == (False, False)  # one step reads it, the next one writes
    assert wire.recv(100) == zmtp.command(b"PONG", b"context")


def test_a_flood_of_pings_does_not_drown_the_message_behind_it(
    dealer: UnixDealer, wire: socket.socket
) -> None:
    flood = zmtp.command(b"PING", b"\0\0") * 5000
    sender = threading.Thread(target=wire.sendall, args=(flood + zmtp.message(*ANSWER),))
    sender.start()
    with wire.dup() as reader:
        reader.settimeout(0)
        while dealer.wait(0) != (True, False):
            with suppress(BlockingIOError):
                reader.recv(1 << 20)
    sender.join()
    assert dealer.receive() == ANSWER


def test_what_the_kernel_does_not_take_at_once_leaves_later(
    dealer: UnixDealer, wire: socket.socket
) -> None:
    body = bytes(MAX_MESSAGE - len(encode(HEADER)))
    dealer.send(HEADER, body)
    assert dealer.wait(0.01) == (False, False)  # nobody reads: it gives up in time
    received = b""
    whole = zmtp.message(encode(HEADER), body)
    while len(received) < len(whole):
        received += wire.recv(1 << 20)
        dealer.wait(0)
    assert received == whole


def test_largest_message_arrives(dealer: UnixDealer, wire: socket.socket) -> None:
    body = random.Random(1).randbytes(MAX_MESSAGE)
    sender = threading.Thread(target=wire.sendall, args=(zmtp.message(b"", body),))
    sender.start()
    assert dealer.wait(PATIENCE) == (True, False)
    sender.join()
    assert dealer.receive() == [b"", body]


def test_message_over_the_limit_is_refused_and_the_next_one_goes(
    dealer: UnixDealer, wire: socket.socket
) -> None:
    assert error_of(lambda: dealer.send(HEADER, bytes(MAX_MESSAGE))).code is Code.TOO_LARGE
    dealer.send(HEADER, b"")
    assert wire.recv(1000) == zmtp.message(encode(HEADER), b"")


# -- the connection is lost -----------------------------------------------------------------


def test_loss_is_told_once_and_mended_by_waiting(
    dealer: UnixDealer, wire: socket.socket, broker: ScriptedBroker
) -> None:
    wire.close()
    assert dealer.wait(PATIENCE) == (False, True)
    assert list(dealer.link_changes()) == [False]
    assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE
    assert dealer.wait(0) == (False, False)
    again = welcome(dealer, broker)
    dealer.send(HEADER, b"again")
    assert again.recv(1000) == zmtp.message(encode(HEADER), b"again")


def test_message_before_the_loss_is_delivered_and_half_a_message_never(
    dealer: UnixDealer, wire: socket.socket, broker: ScriptedBroker
) -> None:
    wire.sendall(zmtp.message(*ANSWER) + zmtp.message(b"half", b"of it")[:-1])
    wire.close()
    assert dealer.wait(PATIENCE) == (True, False)
    assert dealer.receive() == ANSWER
    assert dealer.wait(PATIENCE) == (False, True)
    assert list(dealer.link_changes()) == [False]
    assert dealer.wait(0) == (False, False)
    welcome(dealer, broker).sendall(zmtp.message(b"another"))
    assert dealer.wait(PATIENCE) == (True, False)
    assert dealer.receive() == [b"another"]


def test_loss_is_seen_by_whoever_sends(dealer: UnixDealer, wire: socket.socket) -> None:
    wire.close()
    assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE
    assert list(dealer.link_changes()) == [False]


@pytest.mark.parametrize("size", [0, 1, 63, 64, len(WELCOME) - 1])
def test_loss_in_the_handshake_is_followed_by_another_attempt(
    dealer: UnixDealer, broker: ScriptedBroker, size: int
) -> None:
    wire = broker.accept()
    wire.sendall(WELCOME[:size])
    wire.close()
    recover(dealer, broker)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", Code.BAD_MESSAGE),
        (b"\xff\0\0\0\0\0\0\0\0\x7f\x01\x05", Code.BAD_MESSAGE),
        (zmtp.greeting() + zmtp.message(b"too early"), Code.BAD_MESSAGE),
        (zmtp.greeting() + zmtp.command(b"PING", b"\0\0"), Code.BAD_MESSAGE),
        (zmtp.greeting() + zmtp.command(b"ERROR", b"\x02no"), Code.DENIED),
    ],
)
def test_who_is_no_broker_is_named_and_left(
    dealer: UnixDealer, broker: ScriptedBroker, said: bytes, code: Code
) -> None:
    wire = broker.accept()
    wire.sendall(said)
    assert error_of(lambda: dealer.wait(PATIENCE)).code is code
    assert is_closed(wire)
    assert dealer.wait(0) == (False, False)
    welcome(dealer, broker)


@pytest.mark.parametrize("rubbish", [b"\x80", b"\x02" + b"\xff" * 8, b"\x01\0" * 100])
def test_rubbish_ends_a_connection_that_was_up(
    dealer: UnixDealer, wire: socket.socket, broker: ScriptedBroker, rubbish: bytes
) -> None:
    wire.sendall(rubbish)
    assert error_of(lambda: dealer.wait(PATIENCE)).code is Code.BAD_MESSAGE
    assert list(dealer.link_changes()) == [False]
    assert is_closed(wire)
    assert dealer.wait(0) == (False, False)
    welcome(dealer, broker)


def test_close_waits_for_a_reader_but_not_for_ever(
    dealer: UnixDealer, wire: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_dealer, "LINGER_SECONDS", 0.05)
    dealer.send(HEADER, bytes(1 << 20))
    dealer.close()
    dealer.close()
    received = b""
    while chunk := wire.recv(1 << 20):
        received += chunk
    assert zmtp.message(encode(HEADER), bytes(1 << 20)).startswith(received)


def test_close_delivers_what_was_sent(dealer: UnixDealer, wire: socket.socket) -> None:
    body = bytes(1 << 20)
    dealer.send(HEADER, body)
    closing = threading.Thread(target=dealer.close)
    closing.start()
    received = b""
    while chunk := wire.recv(1 << 20):
        received += chunk
    closing.join()
    assert received == zmtp.message(encode(HEADER), body)


# -- rubbish and interruptions, many of them ------------------------------------------------


def recover(dealer: UnixDealer, broker: ScriptedBroker) -> socket.socket:
    """Bring a connection up, whatever became of the one before."""
    while True:
        with suppress(BangerError):
            dealer.wait(0)
        while dealer.receive():
            pass
        list(dealer.link_changes())
        with suppress(BlockingIOError):
            wire = broker.accept(patience=0)
            wire.sendall(WELCOME)
            assert dealer.wait(PATIENCE) == (False, True)
            list(dealer.link_changes())
            return wire


def mangled(chance: random.Random) -> bytes:
    """A conversation with up to three bytes that are others, cut off or with a tail."""
    sizes = [chance.choice((0, 5, 255, 256, 3000)) for _ in range(chance.randrange(1, 5))]
    said = bytearray(WELCOME + b"".join(zmtp.message(b"head", bytes(size)) for size in sizes))
    for _ in range(chance.randrange(4)):
        said[chance.randrange(len(said))] = chance.randrange(256)
    if chance.random() < 0.3:
        said += chance.randbytes(chance.randrange(100))
    return bytes(said[: chance.choice((len(said), chance.randrange(len(said))))])


@pytest.mark.parametrize("seed", range(8))
def test_no_conversation_makes_it_raise_anything_else_or_hang(
    broker: ScriptedBroker, path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        dealer = UnixDealer(path)
        wire = broker.accept()
        said = mangled(chance)
        while said:
            size = chance.randrange(1, len(said) + 1)
            with suppress(BrokenPipeError):
                wire.sendall(said[:size])
            said = said[size:]
            with suppress(BangerError):
                dealer.wait(0)
                dealer.send(HEADER, b"")
        wire.close()
        recover(dealer, broker).close()
        dealer.close()


class Interrupted(BaseException):
    """What a signal's handler raises."""


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """Raise before the instruction number ``step`` of the connection's own code: whatever moment a
    signal may choose is one of these."""
    steps = count()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in (unix_dealer.__file__, zmtp.__file__):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(steps) == step:
            raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_interruption_at_any_moment_leaves_both_streams_in_step(
    broker: ScriptedBroker, path: Path
) -> None:
    """What was interrupted may be lost or come twice, but whole; what comes after it arrives."""
    ping, pong = zmtp.command(b"PING", b"\0\0"), zmtp.command(b"PONG", b"")
    request, cancel = (zmtp.message(encode(HEADER), body) for body in (b"request", b"cancel"))
    torn = zmtp.message(b"half", b"of it")
    for step in count():
        dealer = UnixDealer(path)
        wire = welcome(dealer, broker)
        wire.sendall(ping + zmtp.message(*ANSWER) + torn[:5])
        through = False
        with suppress(Interrupted), interrupted_at(step):
            dealer.send(HEADER, b"request")
            dealer.wait(0)
            dealer.receive()
            dealer.wait(0)
            through = True
        dealer.send(HEADER, b"cancel")
        wire.sendall(torn[5:])
        heard: list[list[bytes] | None] = []
        while [b"half", b"of it"] not in heard:
            assert dealer.wait(PATIENCE) == (True, False)
            heard.append(dealer.receive())
        dealer.close()
        said = b""
        while chunk := wire.recv(1000):
            said += chunk
        assert all(each in (ANSWER, [b"half", b"of it"]) for each in heard)
        assert said.replace(pong, b"") in (cancel, request + cancel)
        if through:
            assert step > 300
            assert said == request + pong + cancel
            return


def test_interrupted_handshake_is_finished_or_begun_anew(
    broker: ScriptedBroker, path: Path
) -> None:
    for step in count():
        dealer = UnixDealer(path)
        broker.accept().sendall(WELCOME)
        through = False
        with suppress(Interrupted), interrupted_at(step):
            dealer.wait(0)
            through = True
        while True:
            with suppress(BlockingIOError):
                broker.accept(patience=0).sendall(WELCOME)
            try:
                dealer.send(HEADER, b"")
                break
            except BangerError:
                dealer.wait(0)
                list(dealer.link_changes())
        dealer.close()
        if through:
            assert step > 50
            return
