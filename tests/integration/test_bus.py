"""The bus as its peers see it: real processes, real sockets."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from shared.bus import envelope
from shared.bus.client import Client
from shared.bus.envelope import MAX_MESSAGE, Envelope, Kind
from shared.bus.runner import own
from shared.bus.socket import Dealer, Router, Subscriber, close_context, peer_uid
from shared.contract.verb import Request
from shared.contract.verbs import store
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from tests.home import REPOSITORY, Home
from tests.integration.echo_service import RELEASE, SAY, WAIT
from tests.integration.peer import Peer, error_of
from tests.stack import Stack
from tests.waiting import eventually


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    shared_stack.call("echo", "echo.reset")
    return shared_stack


@pytest.fixture
def peer(stack: Stack) -> Iterator[Peer]:
    with stack.peer() as peer:
        yield peer


# -- calls ----------------------------------------------------------------------------------


def test_call_is_answered_with_its_result(peer: Peer) -> None:
    request_id = peer.ask("echo", "echo.say", {"text": "hello", "unknown": [1, 2]})
    assert peer.final(request_id) == {"text": "hello", "request": request_id.hex()}


def test_partials_come_in_order_before_the_one_final(peer: Peer) -> None:
    waiting = peer.ask("echo", "echo.wait")
    partials = [peer.receive() for _ in range(2)]
    assert [header.kind for header, _ in partials] == [Kind.PARTIAL, Kind.PARTIAL]
    assert [msgpack.unpackb(body) for _, body in partials] == [
        {"stage": "waiting", "message": "one", "fraction": 0.25},
        {"stage": "waiting", "message": "two", "fraction": None},
    ]
    assert peer.call("echo", "echo.release") == {}
    assert peer.final(waiting) == {"count": 1}
    assert peer.hears_nothing_before("echo")


def test_ping_is_answered_while_a_verb_runs(peer: Peer) -> None:
    peer.ask("echo", "echo.wait")
    peer.receive()
    ping = peer.ask("echo", "", kind=Kind.PING)
    assert peer.final(ping)["tasks"] == 1


def test_cancel_ends_the_verb_with_its_one_final(peer: Peer) -> None:
    waiting = peer.ask("echo", "echo.wait")
    peer.receive()
    peer.send(Envelope(Kind.CANCEL, waiting, "echo"))
    assert error_of(lambda: peer.final(waiting)).code is Code.CANCELLED
    # Its task ends just after it has sent that final.
    eventually(lambda: peer.final(peer.ask("echo", "", kind=Kind.PING))["tasks"] == 0)


def test_cancel_on_the_heels_of_its_request_is_answered_too(peer: Peer) -> None:
    for _ in range(20):
        request_id = peer.ask("echo", "echo.wait")
        peer.send(Envelope(Kind.CANCEL, request_id, "echo"))
        assert error_of(partial(peer.final, request_id)).code is Code.CANCELLED


def test_cancel_of_what_was_answered_brings_the_same_answer(peer: Peer) -> None:
    done = peer.ask("echo", "echo.count")
    assert peer.final(done) == {"count": 1}
    assert peer.final(peer.ask("echo", "", request_id=done, kind=Kind.CANCEL)) == {"count": 1}
    assert peer.call("echo", "echo.count") == {"count": 2}


def test_cancel_of_what_the_service_never_heard_of_is_answered(peer: Peer) -> None:
    cancel = peer.ask("echo", "echo.wait", kind=Kind.CANCEL)
    assert error_of(lambda: peer.final(cancel)).code is Code.CANCELLED


def test_deadline_ends_the_verb(peer: Peer) -> None:
    waiting = peer.ask("echo", "echo.wait", seconds=0.05)
    assert error_of(lambda: peer.final(waiting)).code is Code.TIMEOUT


def test_answer_over_the_limit_is_too_large(peer: Peer) -> None:
    assert error_of(lambda: peer.call("echo", "echo.big", size=MAX_MESSAGE)).code is Code.TOO_LARGE
    fits = MAX_MESSAGE - 1024
    assert len(peer.call("echo", "echo.big", size=fits)["data"]) == fits


def test_request_over_the_limit_is_refused_before_it_is_sent(peer: Peer) -> None:
    error = error_of(lambda: peer.call("echo", "echo.say", text="x" * MAX_MESSAGE))
    assert error.code is Code.TOO_LARGE
    assert peer.call("echo", "echo.say", text="still here")["text"] == "still here"


def test_unknown_verb_and_unknown_service_are_told_apart(peer: Peer) -> None:
    error = error_of(lambda: peer.call("echo", "echo.sing"))
    assert (error.code, "echo.sing" in error.message) == (Code.BAD_MESSAGE, True)
    error = error_of(lambda: peer.call("sing", "echo.say"))
    assert (error.code, "sing is not running" in error.message) == (Code.UNAVAILABLE, True)


@pytest.mark.parametrize("body", [{}, {"text": 7}, {"text": None}, {"txet": "x"}])
def test_missing_or_mistyped_field_is_a_bad_message(peer: Peer, body: dict[str, Any]) -> None:
    error = error_of(lambda: peer.final(peer.ask("echo", "echo.say", body)))
    assert error.code is Code.BAD_MESSAGE
    assert "text" in error.message


def test_bug_in_a_handler_is_internal_and_names_the_log(stack: Stack, peer: Peer) -> None:
    for verb in ("echo.bug", "echo.unencodable"):
        error = error_of(partial(peer.call, "echo", verb))
        assert error.code is Code.INTERNAL
        assert str(stack.paths.log_file("echo")) in error.hint
        assert "Traceback" not in error.message
    assert "a bug in a handler" in stack.paths.log_file("echo").read_text()


def test_service_passes_on_progress_and_failure_of_another(stack: Stack, peer: Peer) -> None:
    error = error_of(lambda: peer.call("echo", "echo.relay", service="nobody", verb="x"))
    assert error.code is Code.UNAVAILABLE
    rows = peer.call("echo", "echo.relay", service="store", verb="vm.list")
    assert rows == {"next": "", "vms": [], "seq": 0}


# -- the same request again -----------------------------------------------------------------


def test_request_sent_again_is_done_once(peer: Peer) -> None:
    first = peer.ask("echo", "echo.count")
    assert peer.final(first) == {"count": 1}
    assert peer.final(peer.ask("echo", "echo.count", request_id=first)) == {"count": 1}
    assert peer.call("echo", "echo.count") == {"count": 2}


def test_running_request_is_taken_over_by_who_asks_again(stack: Stack, peer: Peer) -> None:
    waiting = peer.ask("echo", "echo.wait")
    for _ in range(2):  # a partial on its way would go to who asks again
        peer.receive()
    with stack.peer() as other:
        other.ask("echo", "echo.wait", request_id=waiting)
        assert other.hears_nothing_before("echo")
        peer.call("echo", "echo.release")
        assert other.final(waiting) == {"count": 1}


def test_request_goes_on_when_its_caller_is_gone(stack: Stack, peer: Peer) -> None:
    with stack.peer() as other:
        waiting = other.ask("echo", "echo.wait")
        other.receive()
    assert peer.call("echo", "echo.release") == {}
    eventually(lambda: peer.final(peer.ask("echo", "", kind=Kind.PING))["tasks"] == 0)
    assert peer.final(peer.ask("echo", "echo.wait", request_id=waiting)) == {"count": 1}


# -- services -------------------------------------------------------------------------------


def test_newer_service_of_a_name_gets_the_requests(stack: Stack, peer: Peer) -> None:
    with stack.peer() as older, stack.peer() as newer:
        epoch = older.register("twin")["epoch"]
        waiting = peer.ask("twin", "twin.work")
        older.receive()
        assert newer.register("twin")["epoch"] == epoch + 1
        assert error_of(lambda: peer.final(waiting)).code is Code.UNAVAILABLE
        request_id = peer.ask("twin", "twin.work")
        header, _ = newer.receive()
        assert header.request_id == request_id
        newer.send(Envelope(Kind.FINAL, request_id), {"ok": True, "result": {"by": "newer"}})
        assert peer.final(request_id) == {"by": "newer"}


def test_event_reaches_a_subscriber_of_its_topic(stack: Stack, peer: Peer) -> None:
    """Each one, from when the broker has confirmed the subscription."""
    subscriber = Subscriber(stack.paths.event_socket, ["echo."])

    def subscribed() -> bool:
        subscriber.receive()
        return subscriber.subscribed()

    eventually(subscribed)
    peer.call("echo", "echo.tell", text="news")
    topic, header, body = eventually(lambda: subscriber.receive() or [])
    subscriber.close()
    assert topic == b"echo.told"
    assert envelope.decode(header).kind is Kind.EVENT
    assert msgpack.unpackb(body) == {"text": "news"}


# -- the synchronous client -----------------------------------------------------------------


def test_client_calls_pings_and_hears_progress(stack: Stack) -> None:
    heard: list[dict[str, Any]] = []
    with Client(stack.paths.broker_socket) as client:
        client.ask(RELEASE())
        client.ask(WAIT(), on_partial=heard.append)
        assert client.ping("echo")["count"] == 1
        answers = client.ask_all([SAY(text="a"), Request(SAY, {}, "echo"), SAY(text="b")])
    assert [each["message"] for each in heard] == ["one", "two"]
    assert [a.code if isinstance(a, BangerError) else a["text"] for a in answers] == [
        "a",
        Code.BAD_MESSAGE,
        "b",
    ]


def test_client_that_is_closed_ends_no_connection_but_its_own(stack: Stack, peer: Peer) -> None:
    """Closed in another thread, too; ending ZeroMQ would wait for the others, and they for it."""
    other = Client(stack.paths.broker_socket)
    with Client(stack.paths.broker_socket) as client:
        assert client.ask(SAY(text="1"))["text"] == "1"
    assert peer.call("echo", "echo.say", text="2")["text"] == "2"
    assert other.ask(SAY(text="3"))["text"] == "3"
    other.close()


def test_client_without_a_broker_says_unavailable_within_seconds(home: Home) -> None:
    home.paths.run.mkdir(mode=0o700)
    began = time.monotonic()
    with Client(home.paths.broker_socket) as client:
        assert error_of(lambda: client.ask(store.VM_LIST())).code is Code.UNAVAILABLE
    assert time.monotonic() - began < 10  # what a call may take by default


# -- who may speak --------------------------------------------------------------------------


def test_peer_address_is_address_uid_gid_pid(home: Home) -> None:
    """Pins the format that libzmq does not document and that ``peer_uid`` relies on."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    home.paths.run.mkdir(mode=0o700)
    path = f"ipc://{home.paths.broker_socket}"
    with context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as dealer:
        router.bind(path)
        dealer.connect(path)
        dealer.send(b"who am I?")
        router.recv()
        frame = router.recv(copy=False)
        address = str(frame.get("Peer-Address"))
        assert re.fullmatch(rf".*:{os.getuid()}:{os.getgid()}:{os.getpid()}", address)
        assert peer_uid(frame) == os.getuid()
    context.term()
    home.paths.broker_socket.unlink()


def test_router_looks_up_credentials_until_it_trusts(home: Home) -> None:
    home.paths.run.mkdir(mode=0o700)
    router, dealer = Router(home.paths.broker_socket), Dealer(home.paths.broker_socket)
    try:
        list(eventually(lambda: list(dealer.link_changes())))
        uids = []
        for _ in range(2):
            dealer.send(Envelope(Kind.PING, bytes(16)), b"\x80")
            received = eventually(router.receive)
            assert received
            assert len(received[1]) == 2
            uids.append(received[2])
            router.trust(received[0])
        assert uids == [os.getuid(), None]
    finally:
        dealer.close()
        router.close()
        close_context()


STRANGER = """
import os, sys
from pathlib import Path
from shared.bus.runner import own
from shared.bus.client import Client
from shared.errors import BangerError
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with Client(Path(sys.argv[1])) as client:
    try:
        print(client.ping("broker", timeout=0.5))
    except BangerError as error:
        print(error.code.value)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_message_of_another_user_is_dropped_and_logged(stack: Stack) -> None:
    """The run directory's mode is opened by force: the credentials are the second fence."""
    reachable = [stack.home.root, stack.paths.run, stack.paths.broker_socket]
    for path in reachable:
        path.chmod(0o777)
    try:
        said = subprocess.run(
            [sys.executable, "-c", STRANGER, str(stack.paths.broker_socket)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for path in reachable:
            path.chmod(0o700)
    assert said.stdout == "timeout\n"
    log = stack.paths.log_file("broker")
    eventually(lambda: '"uid": 65534' in log.read_text())
    assert stack.call("echo", "echo.say", text="we go on")["text"] == "we go on"


def test_sockets_are_closed_to_others_by_their_directory(stack: Stack) -> None:
    assert stack.paths.run.stat().st_mode & 0o777 == 0o700
    sockets = [path for path in Path(stack.paths.run).iterdir() if path.is_socket()]
    assert {path.name for path in sockets} == {"broker.sock", "events.sock"}


def test_service_of_which_there_must_be_one_is_refused_while_another_holds_its_lock(
    tmp_path: Path,
) -> None:
    held = Lock.try_acquire(tmp_path / "store.lock")
    assert held
    error = error_of(lambda: asyncio.run(own(tmp_path / "store.lock", patience=0.05)))
    assert (error.code, "store.lock" in error.message) == (Code.CONFLICT, True)
    held.release()
    asyncio.run(own(tmp_path / "store.lock")).release()
