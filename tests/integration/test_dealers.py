"""Both connections to the broker, the services' and the clients', held against libzmq's ROUTER: one
contract, whoever speaks ZMTP."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus.envelope import MAX_MESSAGE, Envelope, Kind, encode
from shared.bus.socket import Dealer, Router, close_context
from shared.bus.unix_dealer import UnixDealer
from shared.errors import Code
from tests.home import Home
from tests.integration.peer import error_of
from tests.waiting import PATIENCE, eventually

HEADER = Envelope(Kind.REQUEST, bytes(16), "store", "vm.list", 12.5)
LARGEST = MAX_MESSAGE - len(encode(HEADER))
AnyDealer = Dealer | UnixDealer
Received = tuple[bytes, list[bytes], int | None]


@pytest.fixture
def path(home: Home) -> Iterator[Path]:
    home.paths.run.mkdir(mode=0o700)
    yield home.paths.broker_socket
    close_context()


@pytest.fixture
def router(path: Path) -> Iterator[Router]:
    router = Router(path)
    yield router
    router.close()


@pytest.fixture(params=[Dealer, UnixDealer])
def dealer(request: pytest.FixtureRequest, path: Path) -> Iterator[AnyDealer]:
    dealer: AnyDealer = request.param(path)
    yield dealer
    dealer.close()


def wait_for_link(dealer: AnyDealer, *, up: bool) -> None:
    def changed() -> bool:
        dealer.wait(0.02)
        return up in list(dealer.link_changes())

    eventually(changed)


def taken(router: Router, dealer: AnyDealer) -> Received:
    """The next message that reaches the router, while the dealer goes on sending."""

    def receive() -> Received | None:
        dealer.wait(0)
        return router.receive()

    received = eventually(receive)
    assert received
    return received


def heard(dealer: AnyDealer) -> list[bytes]:
    assert dealer.wait(PATIENCE)[0]
    frames = dealer.receive()
    assert frames
    return frames


def test_without_a_broker_nothing_is_sent(dealer: AnyDealer) -> None:
    assert dealer.wait(0.01) == (False, False)
    assert dealer.receive() is None
    assert list(dealer.link_changes()) == []
    assert error_of(lambda: dealer.send(HEADER, b"")).code is Code.UNAVAILABLE


@pytest.mark.parametrize("size", [0, 1, 200, 255, 256, 70_000, LARGEST])
def test_message_of_any_size_goes_and_comes_back(
    router: Router, dealer: AnyDealer, size: int
) -> None:
    wait_for_link(dealer, up=True)
    body = os.urandom(size)
    dealer.send(HEADER, body)
    peer, frames, uid = taken(router, dealer)
    assert (frames, uid) == ([encode(HEADER), body], os.getuid())
    assert router.send(peer, frames[1], frames[0]) is None
    assert heard(dealer) == [body, encode(HEADER)]
    assert dealer.receive() is None


def test_message_over_the_limit_is_refused_and_the_link_stays(
    router: Router, dealer: AnyDealer
) -> None:
    wait_for_link(dealer, up=True)
    assert error_of(lambda: dealer.send(HEADER, bytes(LARGEST + 1))).code is Code.TOO_LARGE
    dealer.send(HEADER, b"still here")
    assert taken(router, dealer)[1][1] == b"still here"


def test_many_messages_keep_their_order(router: Router, dealer: AnyDealer) -> None:
    wait_for_link(dealer, up=True)
    for number in range(500):
        dealer.send(HEADER, b"%d" % number)
    for number in range(500):
        peer, frames, _uid = taken(router, dealer)
        assert frames[1] == b"%d" % number
        assert router.send(peer, *frames) is None
    assert [heard(dealer)[1] for _ in range(500)] == [b"%d" % number for number in range(500)]


def test_router_that_comes_back_is_found_again(path: Path, dealer: AnyDealer) -> None:
    for attempt in (b"first", b"second"):
        router = Router(path)
        wait_for_link(dealer, up=True)
        dealer.send(HEADER, attempt)
        assert taken(router, dealer)[1][1] == attempt
        router.close()
        wait_for_link(dealer, up=False)


@pytest.mark.parametrize("kind", [Dealer, UnixDealer])
def test_what_was_sent_before_the_end_still_arrives(
    router: Router, path: Path, kind: type[AnyDealer]
) -> None:
    dealer = kind(path)
    wait_for_link(dealer, up=True)
    dealer.send(HEADER, b"last words")
    dealer.close()
    assert eventually(router.receive)


def test_two_connections_are_two_peers(router: Router, path: Path, dealer: AnyDealer) -> None:
    other = UnixDealer(path)
    for each, body in ((dealer, b"one"), (other, b"other")):
        wait_for_link(each, up=True)
        each.send(HEADER, body)
    peers = {frames[1]: peer for peer, frames, _ in (taken(router, other) for _ in range(2))}
    for body, peer in peers.items():
        assert router.send(peer, b"to", body) is None
    assert heard(dealer) == [b"to", b"one"]
    assert heard(other) == [b"to", b"other"]
    other.close()
