"""The forwarder against name servers on loopback that behave and that do not."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from services.dns.forward.exchange import exchange
from services.dns.forward.forwarder import IN_FLIGHT, NO_NAME_SERVER, AgedReply, Forwarder
from services.dns.forward.upstreams import CHECK_INTERVAL
from services.dns.wire.format import Rcode
from services.dns.wire.query import QuestionKey
from services.dns.wire.reply import Reply, UnusableReply, address_of
from tests.integration.upstream import Asked, Here, Script, Upstream, reply_to, says, silent

T = TypeVar("T")
ONE, TWO = "127.0.0.11", "127.0.0.12"
A = "www.example.org 60 IN A 192.0.2.1"
WWW = QuestionKey((b"www", b"example", b"org"), 1, False, False)
EACH, TOTAL = 0.3, 1.0
"""Seconds; the product's own are longer, and only make a test slow."""

PATIENT = 20.0
"""Seconds for a server that does answer, and has a hundred questions to read on a busy machine."""
QUICK = 0.25
"""Seconds in which what need not be waited for is there."""


class Lab:
    """Two servers on one port, and a resolv.conf that names them."""

    def __init__(self, directory: Path, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        self.each, self.total = EACH, TOTAL
        self.resolv_conf = directory / "resolv.conf"
        self.name(ONE, TWO)
        self.one = self.serve(ONE, says(A))
        self.two = self.serve(TWO, says(A), port=self.one.port)

    def name(self, *hosts: str) -> None:
        self.resolv_conf.write_text("".join(f"nameserver {host}\n" for host in hosts))

    def serve(self, host: str, script: Script, *, port: int = 0) -> Upstream:
        served = Upstream(Here(), host, script, port=port)
        self._cleanup.callback(served.close)
        return served

    def forwarder(self) -> Forwarder:
        """To be made in the loop it is used in."""
        return Forwarder(
            frozenset(),
            resolv_conf=self.resolv_conf,
            port=self.one.port,
            each=self.each,
            total=self.total,
        )

    def resolve(self, *keys: QuestionKey) -> list[AgedReply | None]:
        """All at once, by a forwarder that knows nothing yet."""

        async def ask(forwarder: Forwarder) -> list[AgedReply | None]:
            return await asyncio.gather(*(forwarder.resolve(key) for key in keys))

        return self.run(ask)

    def run(self, ask: Callable[[Forwarder], Coroutine[Any, Any, T]]) -> T:
        async def whole() -> T:
            forwarder = self.forwarder()
            try:
                return await ask(forwarder)
            finally:
                await forwarder.close()
                assert len(asyncio.all_tasks()) == 1

        return asyncio.run(whole())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as cleanup:
        yield Lab(tmp_path, cleanup)


def addresses(found: AgedReply | None) -> list[str]:
    assert found is not None
    return [str(address_of(record)) for record in found[0].records]


def key(number: int) -> QuestionKey:
    return WWW._replace(name=(b"n%d" % number, b"org"))


def test_name_is_asked_of_the_first_server_alone(lab: Lab) -> None:
    (found,) = lab.resolve(WWW)
    assert addresses(found) == ["192.0.2.1"]
    assert (lab.one.names(), lab.two.names()) == (["www.example.org."], [])


def test_second_question_is_answered_from_memory(lab: Lab) -> None:
    async def twice(forwarder: Forwarder) -> list[AgedReply | None]:
        return [await forwarder.resolve(WWW), await forwarder.resolve(WWW)]

    assert [addresses(found) for found in lab.run(twice)] == [["192.0.2.1"]] * 2
    assert len(lab.one.asked) == 1


def test_same_questions_at_once_are_one_upstream(lab: Lab) -> None:
    found = lab.resolve(*[WWW] * 50)
    assert [addresses(each) for each in found] == [["192.0.2.1"]] * 50
    assert len(lab.one.asked) == 1


def test_every_question_has_an_id_and_a_port_of_its_own(lab: Lab) -> None:
    lab.each = lab.total = PATIENT
    lab.resolve(*(key(number) for number in range(100)))
    assert len(lab.one.asked) == 100
    # By the birthday bound two of a hundred share an id once in 13 runs, a port once in 6.
    assert len({asked.record.header.id for asked in lab.one.asked}) > 90
    assert len({asked.port for asked in lab.one.asked}) > 80


def forged(asked: Asked) -> list[bytes]:
    """Three messages that are no answer to this question, then the answer."""
    wrong_id = reply_to(asked, "www.example.org 60 IN A 203.0.113.1", id=asked.record.header.id ^ 1)
    elsewhere = asked.record.reply(aa=0)
    elsewhere.questions[0].qname = "evil.example.org"
    no_reply = reply_to(asked, "www.example.org 60 IN A 203.0.113.3", qr=0)
    return [wrong_id, bytes(elsewhere.pack()), no_reply, b"\0", b"", reply_to(asked, A)]


def test_only_the_answer_to_the_question_is_believed(lab: Lab) -> None:
    lab.one.script = forged
    assert addresses(lab.resolve(WWW)[0]) == ["192.0.2.1"]


def cut_by_udp(asked: Asked) -> list[bytes]:
    return [reply_to(asked, A) if asked.tcp else reply_to(asked, tc=1)]


def test_truncated_answer_is_asked_for_by_tcp(lab: Lab) -> None:
    lab.one.script = cut_by_udp
    assert addresses(lab.resolve(WWW)[0]) == ["192.0.2.1"]
    assert [asked.tcp for asked in lab.one.asked] == [False, True]


def test_large_answer_comes_whole_by_tcp(lab: Lab) -> None:
    many = [f"www.example.org 60 IN A 192.0.2.{number}" for number in range(250)]
    # Both: on a busy machine the first may be taken for mute, and the second asked.
    lab.one.script = lab.two.script = lambda asked: [
        reply_to(asked, *many) if asked.tcp else reply_to(asked, tc=1)
    ]
    assert len(addresses(lab.resolve(WWW)[0])) == 250


def test_server_without_edns_is_asked_again_without(lab: Lab) -> None:
    lab.one.script = lambda asked: [
        reply_to(asked, rcode=Rcode.FORMERR) if asked.record.ar else reply_to(asked, A)
    ]
    assert addresses(lab.resolve(WWW)[0]) == ["192.0.2.1"]
    assert [len(asked.record.ar) for asked in lab.one.asked] == [1, 0]


@pytest.mark.parametrize(
    "script",
    [silent, says(rcode=Rcode.SERVFAIL), says(rcode=Rcode.REFUSED), lambda _: [b"nonsense"]],
    ids=["silent", "servfail", "refused", "nonsense"],
)
def test_server_that_does_not_answer_is_passed_over(lab: Lab, script: Script) -> None:
    lab.one.script = script
    assert addresses(lab.resolve(WWW)[0]) == ["192.0.2.1"]
    assert len(lab.two.asked) == 1


def test_lost_question_is_asked_again(lab: Lab) -> None:
    lab.name(ONE)
    lab.one.script = lambda asked: [reply_to(asked, A)] if len(lab.one.asked) > 1 else []
    assert addresses(lab.resolve(WWW)[0]) == ["192.0.2.1"]


def test_silence_of_all_ends_in_time_and_is_told(lab: Lab) -> None:
    lab.one.script = lab.two.script = silent

    async def ask(forwarder: Forwarder) -> str:
        assert await forwarder.resolve(WWW) is None
        return forwarder.problem()

    started = time.monotonic()
    problem = lab.run(ask)
    assert TOTAL <= time.monotonic() - started < 2 * TOTAL  # not for each
    assert f"{ONE}: no reply, {TWO}: no reply" in problem


def test_server_that_is_gone_is_known_at_once(lab: Lab) -> None:
    lab.name("127.0.0.13")  # nobody listens there: ICMP says so

    async def ask(forwarder: Forwarder) -> str:
        assert await forwarder.resolve(WWW) is None
        return forwarder.problem()

    started = time.monotonic()
    assert "127.0.0.13: Connection refused" in lab.run(ask)
    assert time.monotonic() - started < TOTAL  # as a silent one would take


def test_problem_ends_with_the_next_answer(lab: Lab) -> None:
    lab.one.script = lab.two.script = says(rcode=Rcode.SERVFAIL)

    async def ask(forwarder: Forwarder) -> tuple[str, str]:
        await forwarder.resolve(WWW)
        before = forwarder.problem()
        lab.one.script = says(A)
        await forwarder.resolve(WWW)
        return before, forwarder.problem()

    before, after = lab.run(ask)
    assert f"{ONE}: SERVFAIL" in before
    assert after == ""


def test_no_server_at_all_is_a_failure_and_a_problem(lab: Lab) -> None:
    lab.resolv_conf.unlink()

    async def ask(forwarder: Forwarder) -> str:
        assert await forwarder.resolve(WWW) is None
        return forwarder.problem()

    assert lab.run(ask) == NO_NAME_SERVER


def test_other_servers_are_followed_and_what_the_old_said_is_forgotten(lab: Lab) -> None:
    lab.two.script = says("www.example.org 60 IN A 192.0.2.2")

    async def ask(forwarder: Forwarder) -> list[AgedReply | None]:
        before = await forwarder.resolve(WWW)
        lab.name(TWO)
        limit = time.monotonic() + 5 * CHECK_INTERVAL
        after = before
        while addresses(after) == addresses(before) and time.monotonic() < limit:
            after = await forwarder.resolve(WWW)
            await asyncio.sleep(0)
        return [before, after]

    assert [addresses(found) for found in lab.run(ask)] == [["192.0.2.1"], ["192.0.2.2"]]


def test_questions_out_at_once_are_bounded_and_the_rest_fail_at_once(lab: Lab) -> None:
    lab.one.script = lab.two.script = silent

    async def ask(forwarder: Forwarder) -> float:
        out = [asyncio.ensure_future(forwarder.resolve(key(n))) for n in range(IN_FLIGHT)]
        await asyncio.sleep(0)
        started = time.monotonic()
        assert await forwarder.resolve(WWW) is None
        took = time.monotonic() - started
        assert await asyncio.gather(*out) == [None] * IN_FLIGHT
        return took

    assert lab.run(ask) < QUICK


def test_clients_whose_questions_nobody_answers_leave_room_for_another(lab: Lab) -> None:
    def only_www(asked: Asked) -> list[bytes]:
        return [reply_to(asked, A)] if asked.name == "www.example.org." else silent(asked)

    lab.one.script = lab.two.script = only_www

    async def ask(forwarder: Forwarder) -> AgedReply | None:
        out = [
            asyncio.ensure_future(forwarder.resolve(key(n), f"flood {n % 4}"))
            for n in range(IN_FLIGHT)
        ]
        await asyncio.sleep(0)
        found = await forwarder.resolve(WWW, "honest")
        assert await asyncio.gather(*out) == [None] * IN_FLIGHT
        return found

    assert addresses(lab.run(ask)) == ["192.0.2.1"]


def test_who_gives_up_does_not_take_the_answer_from_the_others(lab: Lab) -> None:
    async def ask(forwarder: Forwarder) -> AgedReply | None:
        impatient = asyncio.ensure_future(forwarder.resolve(WWW))
        patient = asyncio.ensure_future(forwarder.resolve(WWW))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert addresses(lab.run(ask)) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [(says(A), Reply), (says(rcode=Rcode.NXDOMAIN), Reply), (says(rcode=5), UnusableReply)],
    ids=["answer", "nxdomain", "refused"],
)
def test_one_exchange_says_what_the_server_said(lab: Lab, script: Script, expected: type) -> None:
    lab.one.script = script
    assert isinstance(asyncio.run(exchange(ONE, lab.one.port, WWW)), expected)


def test_server_that_cuts_its_answer_by_tcp_too_is_an_error(lab: Lab) -> None:
    lab.one.script = says(tc=1)
    with pytest.raises(ConnectionError):
        asyncio.run(exchange(ONE, lab.one.port, WWW))
