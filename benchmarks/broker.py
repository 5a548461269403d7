"""A round trip through the broker against a bare ROUTER/DEALER echo with the same frames.

The echo is what ZeroMQ alone needs: one process with a ROUTER that sends back what it gets. The
broker's figure is a ping that the broker answers (the same two hops, plus decoding and routing).
The service's is a ping that a service answers (four hops, two of them through asyncio).
"""

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator

import msgpack
import zmq

from benchmarks.harness.measure import Figure, median, seconds
from benchmarks.harness.product import only
from shared.bus import envelope
from shared.bus.client import Client
from shared.bus.envelope import Envelope, Kind

ROUNDS, BATCH = 15, 200
ANSWER_MILLISECONDS = 10_000
"""An echo that takes longer has died: the benchmark fails."""


def figures(*, smoke: bool) -> list[Figure]:
    rounds, batch = (1, 2) if smoke else (ROUNDS, BATCH)
    with (
        only("broker", "store") as stack,
        Client(stack.paths.broker_socket) as client,
        _echo() as echo,
    ):
        actions = (
            lambda: _round_trip(echo),
            lambda: client.ping("broker"),
            lambda: client.ping("store"),
        )
        trips = [[_per_trip(action, batch) for action in actions] for _ in range(rounds)]
    bare, broker, service = map(median, zip(*trips, strict=True))
    peer, runs = "ROUTER/DEALER echo", rounds * batch
    return [
        Figure("broker round trip", "us", broker, bare, peer, runs, bar=2.0),
        Figure(
            *("round trip through the broker to a service", "us", service, bare),
            *(f"{peer}, half the hops", runs),
            bar=4.0,
        ),
    ]


@contextlib.contextmanager
def _echo() -> Iterator["zmq.Socket[bytes]"]:
    """A socket whose peer sends every message back."""
    with tempfile.TemporaryDirectory() as directory, zmq.Context() as context:
        address = f"ipc://{directory}/echo"
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(address,))
        process.start()
        dealer = context.socket(zmq.DEALER)
        dealer.rcvtimeo = ANSWER_MILLISECONDS
        try:
            dealer.connect(address)
            _round_trip(dealer)  # the process has started
            yield dealer
        finally:
            dealer.close(linger=0)
            process.terminate()
            process.join()


def _serve(address: str) -> None:
    router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    router.bind(address)
    while True:
        router.send_multipart(router.recv_multipart())


def _round_trip(dealer: "zmq.Socket[bytes]") -> None:
    deadline = time.monotonic() + 2
    request = Envelope(Kind.PING, envelope.new_request_id(), "broker", "", deadline)
    dealer.send_multipart((envelope.encode(request), msgpack.packb({})))
    dealer.recv_multipart()


def _per_trip(action: Callable[[], object], batch: int) -> float:
    """Microseconds."""
    return seconds(lambda: [action() for _ in range(batch)]) / batch * 1e6
