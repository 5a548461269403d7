"""The broker's decisions as transcripts: who says what, and what is sent to whom."""

from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest

from services.broker.core import Command, Publish, RoutingTable, Send, WatchService
from services.broker.offenders import LIMIT
from shared.bus import envelope
from shared.bus.envelope import PROTOCOL, Envelope, Kind
from shared.errors import BangerError, Code

CLI, OTHER, STORE, API = b"cli", b"other", b"store", b"api"
ONE, TWO = bytes([1] * 16), bytes([2] * 16)
BODY = b"\x81\xa4name\xa4beta"
READY = {"instance": "ab", "pid": 100, "build": "1", "protocol": PROTOCOL}


@dataclass
class Table:
    """A broker with a clock of its own; every call returns what it would do, readably."""

    core: RoutingTable = field(default_factory=lambda: RoutingTable("1", 42))
    now: float = 1000.0

    def hears(self, peer: bytes, header: Envelope, body: bytes = BODY) -> list[Any]:
        return self.hears_frames(peer, [envelope.encode(header), body])

    def hears_frames(self, peer: bytes, frames: list[bytes]) -> list[Any]:
        return [shown(command) for command in self.core.on_message(peer, frames, self.now)]

    def ready(self, peer: bytes, name: str, **changes: object) -> list[Any]:
        header = Envelope(Kind.READY, bytes(16), name)
        return self.hears(peer, header, msgpack.packb(READY | changes))

    def asks(self, peer: bytes, request_id: bytes = ONE, service: str = "store") -> list[Any]:
        return self.hears(peer, request(request_id, service, self.now + 10))

    def dies(self, name: str, epoch: int) -> list[Any]:
        return [shown(command) for command in self.core.on_death(name, epoch)]

    def ticks(self, now: float) -> list[Any]:
        self.now = now
        return [shown(command) for command in self.core.on_tick(now)]


def request(request_id: bytes, service: str, deadline: float) -> Envelope:
    return Envelope(Kind.REQUEST, request_id, service, "vm.list", deadline)


def final(request_id: bytes, service: str = "store") -> Envelope:
    return Envelope(Kind.FINAL, request_id, service, "vm.list")


def shown(command: Command) -> Any:
    """A failed final as (peer, code), anything else sent as (peer, kind, id)."""
    if not isinstance(command, Send):
        return command
    header = envelope.decode(command.header)
    answer = msgpack.unpackb(command.body)
    if header.kind is Kind.FINAL and "error" in answer:
        assert len(command.request_id) == 16
        return (command.peer, Code(answer["error"]["code"]))
    return (command.peer, header.kind, header.request_id)


@pytest.fixture
def table() -> Table:
    """A broker that the store has registered with, as epoch 1."""
    table = Table()
    table.ready(STORE, "store")
    return table


# -- routing --------------------------------------------------------------------------------


def test_request_goes_to_its_service_and_the_final_back_to_the_caller(table: Table) -> None:
    assert table.asks(CLI) == [(STORE, Kind.REQUEST, ONE)]
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]
    assert table.core.pending == {}


def test_header_and_body_are_passed_on_untouched(table: Table) -> None:
    header = envelope.encode(request(ONE, "store", 1010.0))
    (sent,) = table.core.on_message(CLI, [header, b"\xc1 not MessagePack"], 1000.0)
    assert sent == Send(STORE, header, b"\xc1 not MessagePack", ONE)


def test_any_number_of_partials_come_before_the_final(table: Table) -> None:
    table.asks(CLI)
    for _ in range(3):
        assert table.hears(STORE, Envelope(Kind.PARTIAL, ONE)) == [(CLI, Kind.PARTIAL, ONE)]
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


def test_second_final_and_late_partial_go_nowhere(table: Table) -> None:
    table.asks(CLI)
    table.hears(STORE, final(ONE))
    assert table.hears(STORE, final(ONE)) == []
    assert table.hears(STORE, Envelope(Kind.PARTIAL, ONE)) == []


def test_callers_get_their_own_answers(table: Table) -> None:
    table.asks(CLI, ONE)
    table.asks(OTHER, TWO)
    assert table.hears(STORE, final(TWO)) == [(OTHER, Kind.FINAL, TWO)]
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


def test_service_may_ask_another(table: Table) -> None:
    table.ready(API, "api")
    table.asks(CLI, ONE, "api")
    assert table.asks(API, TWO, "store") == [(STORE, Kind.REQUEST, TWO)]
    assert table.hears(STORE, final(TWO)) == [(API, Kind.FINAL, TWO)]


def test_unknown_service_is_unavailable_at_once(table: Table) -> None:
    assert table.asks(CLI, ONE, "dns") == [(CLI, Code.UNAVAILABLE)]
    assert table.core.pending == {}


def test_only_the_service_that_was_asked_may_answer(table: Table) -> None:
    table.ready(API, "api")
    table.asks(CLI)
    assert table.hears(API, final(ONE, "api")) == []
    assert table.hears(OTHER, final(ONE)) == []
    assert table.hears(OTHER, Envelope(Kind.PARTIAL, ONE)) == []
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


def test_same_request_again_goes_to_the_service_and_answers_the_new_caller(table: Table) -> None:
    table.asks(CLI)
    assert table.asks(OTHER) == [(STORE, Kind.REQUEST, ONE)]
    assert table.hears(STORE, final(ONE)) == [(OTHER, Kind.FINAL, ONE)]
    assert table.core.pending == {}


def test_ping_goes_the_way_of_requests(table: Table) -> None:
    ping = Envelope(Kind.PING, ONE, "store", "", 1002.0)
    assert table.hears(CLI, ping) == [(STORE, Kind.PING, ONE)]
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


# -- deadlines ------------------------------------------------------------------------------


def test_passed_deadline_is_a_timeout_and_troubles_nobody(table: Table) -> None:
    assert table.hears(CLI, request(ONE, "store", 999.9)) == [(CLI, Code.TIMEOUT)]
    assert table.core.pending == {}


@pytest.mark.parametrize("deadline", [0.0, -1.0, 1000.0 + 24 * 3600 + 1, float("inf")])
def test_request_without_a_usable_deadline_is_a_bad_message(table: Table, deadline: float) -> None:
    assert table.hears(CLI, request(ONE, "store", deadline)) == [(CLI, Code.BAD_MESSAGE)]
    assert table.core.pending == {}


def test_tick_answers_what_the_service_did_not_a_second_after_the_deadline(table: Table) -> None:
    table.asks(CLI)
    assert table.ticks(1010.9) == []
    assert table.ticks(1011.1) == [(CLI, Code.TIMEOUT)]
    assert table.core.pending == {}
    assert table.hears(STORE, final(ONE)) == []


# -- cancel --------------------------------------------------------------------------------


def test_cancel_reaches_the_service_that_works_on_it(table: Table) -> None:
    table.asks(CLI)
    assert table.hears(CLI, Envelope(Kind.CANCEL, ONE)) == [(STORE, Kind.CANCEL, ONE)]


def test_nobody_cancels_what_another_asked_for(table: Table) -> None:
    table.asks(CLI)
    assert table.hears(OTHER, Envelope(Kind.CANCEL, ONE, "store")) == []


def test_cancel_of_what_was_answered_goes_to_the_service_and_its_answer_back(table: Table) -> None:
    table.asks(CLI)
    table.hears(STORE, final(ONE))
    cancel = Envelope(Kind.CANCEL, ONE, "store", "vm.list", table.now + 10)
    assert table.hears(CLI, cancel) == [(STORE, Kind.CANCEL, ONE)]
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


def test_cancel_that_no_service_can_answer_is_answered_by_the_broker(table: Table) -> None:
    cancel = Envelope(Kind.CANCEL, ONE, "images", "image.build", table.now + 10)
    assert table.hears(CLI, cancel) == [(CLI, Code.UNAVAILABLE)]
    assert table.hears(CLI, Envelope(Kind.CANCEL, ONE, "store")) == [(CLI, Code.BAD_MESSAGE)]


def test_undeliverable_cancel_fails_no_request(table: Table) -> None:
    table.asks(CLI)
    (cancel,) = table.core.on_message(CLI, [envelope.encode(Envelope(Kind.CANCEL, ONE)), BODY], 1e3)
    assert isinstance(cancel, Send)
    assert table.core.on_send_failed(cancel.request_id, STORE, Code.BUSY) == []
    assert ONE in table.core.pending


# -- registration and death -----------------------------------------------------------------


def test_ready_is_answered_with_an_epoch_and_the_process_is_watched() -> None:
    core = RoutingTable("1", 42)
    header = envelope.encode(Envelope(Kind.READY, ONE, "store"))
    watch, answer = core.on_message(STORE, [header, msgpack.packb(READY)], 0.0)
    assert watch == WatchService("store", 1, 100)
    assert isinstance(answer, Send)
    assert envelope.read_final(answer.body) == {"epoch": 1}


def test_newest_registration_wins_and_fails_what_the_older_worked_on(table: Table) -> None:
    table.asks(CLI, ONE)
    told, watch, _ = table.ready(API, "store", pid=101)
    assert told == (CLI, Code.UNAVAILABLE)
    assert watch == WatchService("store", 2, 101)
    assert table.asks(CLI, TWO) == [(API, Kind.REQUEST, TWO)]
    assert table.hears(STORE, final(TWO)) == []
    assert table.hears(API, final(TWO)) == [(CLI, Kind.FINAL, TWO)]


def test_death_fails_what_was_in_flight_and_forgets_the_service(table: Table) -> None:
    table.asks(CLI, ONE)
    table.asks(OTHER, TWO)
    assert table.dies("store", 1) == [(CLI, Code.UNAVAILABLE), (OTHER, Code.UNAVAILABLE)]
    assert table.asks(CLI, ONE) == [(CLI, Code.UNAVAILABLE)]


def test_death_of_the_older_process_does_not_touch_the_newer(table: Table) -> None:
    table.ready(API, "store", pid=101)
    table.asks(CLI)
    assert table.dies("store", 1) == []
    assert table.hears(API, final(ONE)) == [(CLI, Kind.FINAL, ONE)]


def test_death_of_one_service_leaves_requests_at_others(table: Table) -> None:
    table.ready(API, "api")
    table.asks(CLI, ONE, "api")
    assert table.dies("store", 1) == []
    assert table.hears(API, final(ONE, "api")) == [(CLI, Kind.FINAL, ONE)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protocol": PROTOCOL + 1}, Code.INCOMPATIBLE),
        ({"protocol": None}, Code.INCOMPATIBLE),
        ({"pid": 0}, Code.BAD_MESSAGE),
        ({"pid": -1}, Code.BAD_MESSAGE),
        ({"pid": 2**31}, Code.BAD_MESSAGE),
        ({"pid": "100"}, Code.BAD_MESSAGE),
        ({"pid": True}, Code.BAD_MESSAGE),
        ({"build": None}, Code.BAD_MESSAGE),
    ],
)
def test_unusable_ready_is_refused_and_replaces_nobody(
    table: Table, changes: dict[str, object], code: Code
) -> None:
    assert table.ready(API, "store", **changes) == [(API, code)]
    assert table.asks(CLI) == [(STORE, Kind.REQUEST, ONE)]


@pytest.mark.parametrize("name", ["", "broker"])
def test_nobody_registers_without_a_name_or_as_the_broker(table: Table, name: str) -> None:
    assert table.ready(API, name) == [(API, Code.BAD_MESSAGE)]
    assert list(table.core.services) == ["store"]


def test_peer_is_one_service_and_no_more(table: Table) -> None:
    assert table.ready(STORE, "dns") == [(STORE, Code.CONFLICT)]
    assert list(table.core.services) == ["store"]


def test_undecodable_ready_is_a_bad_message(table: Table) -> None:
    header = Envelope(Kind.READY, ONE, "dns")
    assert table.hears(API, header, b"\x91" * 100_000) == [(API, Code.BAD_MESSAGE)]


# -- the broker's own verbs -----------------------------------------------------------------


def test_broker_lists_its_services(table: Table) -> None:
    header = Envelope(Kind.REQUEST, ONE, "broker", "broker.services", 1010.0)
    (answer,) = table.core.on_message(CLI, [envelope.encode(header), b"\x80"], 1000.0)
    assert isinstance(answer, Send)
    services = [{"name": "store", "pid": 100, "build": "1", "epoch": 1}]
    assert envelope.read_final(answer.body) == {"services": services}


def test_broker_answers_pings_with_its_tables(table: Table) -> None:
    table.asks(OTHER)
    header = Envelope(Kind.PING, TWO, "broker", "", 1010.0)
    (answer,) = table.core.on_message(CLI, [envelope.encode(header), b"\x80"], 1000.0)
    assert isinstance(answer, Send)
    status = envelope.read_final(answer.body)
    assert status == {"build": "1", "pid": 42, "services": 1, "pending": 1, "bad_messages": 0}


def test_broker_has_no_other_verb(table: Table) -> None:
    assert table.asks(CLI, ONE, "broker") == [(CLI, Code.BAD_MESSAGE)]


# -- events ---------------------------------------------------------------------------------


def test_event_of_a_service_is_published_under_its_verb(table: Table) -> None:
    header = Envelope(Kind.EVENT, ONE, "store", "vm.changed")
    assert table.hears(STORE, header) == [Publish("vm.changed", envelope.encode(header), BODY)]


def test_only_a_service_publishes_and_only_in_its_own_name(table: Table) -> None:
    header = Envelope(Kind.EVENT, ONE, "store", "vm.deleted")
    assert table.hears(CLI, header) == []
    table.ready(API, "api")
    assert table.hears(API, header) == []


# -- what cannot be delivered ---------------------------------------------------------------


@pytest.mark.parametrize("code", [Code.BUSY, Code.UNAVAILABLE])
def test_undeliverable_request_is_told_its_caller(table: Table, code: Code) -> None:
    table.asks(CLI)
    (command,) = table.core.on_send_failed(ONE, STORE, code)
    assert shown(command) == (CLI, code)
    assert table.core.pending == {}


def test_undeliverable_partial_is_nobodys_failure(table: Table) -> None:
    table.asks(CLI)
    assert table.core.on_send_failed(ONE, CLI, Code.UNAVAILABLE) == []
    assert table.hears(STORE, final(ONE)) == [(CLI, Kind.FINAL, ONE)]
    assert table.core.on_send_failed(ONE, CLI, Code.UNAVAILABLE) == []


# -- bad messages ---------------------------------------------------------------------------


def test_bad_message_is_answered_when_its_id_can_be_read(table: Table) -> None:
    header = envelope.encode(request(ONE, "store", 1010.0))
    assert table.hears_frames(CLI, [header]) == [(CLI, Code.BAD_MESSAGE)]
    assert table.hears_frames(CLI, [header, BODY, b""]) == [(CLI, Code.BAD_MESSAGE)]


@pytest.mark.parametrize("frames", [[], [b""], [b"noise", b""], [b"bngr\x01\xc1", b"\x80"]])
def test_bad_message_without_an_id_is_counted_and_not_answered(
    table: Table, frames: list[bytes]
) -> None:
    assert table.hears_frames(CLI, frames) == []
    assert table.core.status()["bad_messages"] == 1


def test_another_protocol_version_is_told_that_it_is_incompatible(table: Table) -> None:
    header = envelope.encode(request(ONE, "store", 1010.0))
    later = b"bngr" + bytes([PROTOCOL + 1]) + header[5:]
    assert table.hears_frames(CLI, [later, BODY]) == [(CLI, Code.INCOMPATIBLE)]


def test_peer_that_persists_is_shut_out_for_the_minute_and_others_are_not(table: Table) -> None:
    for _ in range(LIMIT):
        table.hears_frames(CLI, [b"noise"])
    assert table.asks(CLI) == []
    assert table.asks(OTHER) == [(STORE, Kind.REQUEST, ONE)]
    table.ticks(1059.0)
    assert table.asks(CLI, TWO) == []
    table.ticks(1060.5)
    assert table.asks(CLI, TWO) == [(STORE, Kind.REQUEST, TWO)]


# -- bounds ---------------------------------------------------------------------------------


def test_ten_thousand_callers_that_vanish_leave_nothing_behind(table: Table) -> None:
    for number in range(10_000):
        peer = number.to_bytes(5, "big")
        table.asks(peer, number.to_bytes(16, "big"))
        table.hears_frames(peer, [b"noise"])
    status = table.core.status()
    assert (status["pending"], status["bad_messages"]) == (10_000, 10_000)
    assert len(table.ticks(1061.0)) == 10_000
    assert table.core.pending == {}


def test_ten_thousand_registrations_of_one_name_are_one_service(table: Table) -> None:
    for number in range(10_000):
        table.ready(number.to_bytes(5, "big"), "dns")
    assert sorted(table.core.services) == ["dns", "store"]
    assert table.core.services["dns"].peer == (9_999).to_bytes(5, "big")


def test_error_of_a_failed_final_says_what_to_do_next(table: Table) -> None:
    header = envelope.encode(request(ONE, "dns", 1010.0))
    (answer,) = table.core.on_message(CLI, [header, BODY], 1000.0)
    assert isinstance(answer, Send)
    with pytest.raises(BangerError, match="dns is not running") as caught:
        envelope.read_final(answer.body)
    assert "banger daemon status" in caught.value.hint
