"""A round trip through the broker against a bare ROUTER/DEALER echo with the same frames.

The echo is what ZeroMQ alone needs: one process with a ROUTER that sends back what it gets. The
broker's figure is a ping that the broker answers (the same two hops, plus decoding and routing)
and, for the record, one that a service answers (four hops, two of them through asyncio).
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import zmq

from benchmarks.harness.measure import Figure, median
from shared.bus import envelope
from shared.bus.client import Client
from shared.bus.envelope import Envelope, Kind
from shared.paths import Paths

ROUNDS, BATCH = 15, 200


def figures(paths: Paths) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        socket = f"ipc://{directory}/echo"
        echo = multiprocessing.get_context("spawn").Process(target=_echo, args=(socket,))
        echo.start()
        try:
            bare, broker, service = _measure(socket, paths.broker_socket)
        finally:
            echo.terminate()
            echo.join()
    microseconds = 1e6
    return [
        Figure(
            "broker round trip",
            "us",
            broker * microseconds,
            2.0,
            bare * microseconds,
            "bare ROUTER/DEALER echo",
            ROUNDS * BATCH,
        ),
        Figure(
            "round trip through the broker to a service",
            "us",
            service * microseconds,
            4.0,
            bare * microseconds,
            "bare ROUTER/DEALER echo (half the hops)",
            ROUNDS * BATCH,
        ),
    ]


def _echo(address: str) -> None:
    router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    router.bind(address)
    while True:
        router.send_multipart(router.recv_multipart())


def _measure(echo: str, broker: Path) -> tuple[float, float, float]:
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(echo)
    bare: list[float] = []
    routed: list[float] = []
    served: list[float] = []
    with Client(broker) as client:
        for _ in range(ROUNDS):
            bare.append(_per_round(lambda: _bare_round(dealer)))
            routed.append(_per_round(lambda: client.ping("broker")))
            served.append(_per_round(lambda: client.ping("store")))
    dealer.close()
    context.term()
    return median(bare), median(routed), median(served)


def _bare_round(dealer: "zmq.Socket[bytes]") -> None:
    deadline = time.monotonic() + 2
    request = Envelope(Kind.PING, envelope.new_request_id(), "broker", "", deadline)
    dealer.send_multipart((envelope.encode(request), msgpack.packb({})))
    dealer.recv_multipart()


def _per_round(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(BATCH):
        action()
    return (time.perf_counter() - started) / BATCH
