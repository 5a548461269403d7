"""Answers of upstreams while they hold; the clock is a number."""

from dataclasses import replace

from services.dns.forward.cache import BODY_LARGEST, ENTRIES, ReplyCache
from services.dns.wire.reply import Reply
from tests.unit.services.dns.messages import key

REPLY = Reply(rcode=0, records=(), counts=(0, 0), body=b"", ttls=(), lifetime=10)


def test_answer_is_found_with_its_age_until_it_no_longer_holds() -> None:
    cache = ReplyCache()
    cache.keep(key("a.org"), REPLY, 100.0)
    assert cache.find(key("a.org"), 103.9) == (REPLY, 3)
    assert cache.find(key("A.ORG"), 109.9) == (REPLY, 9)
    assert cache.find(key("a.org"), 110.0) is None
    assert len(cache) == 0


def test_type_and_dnssec_make_another_question() -> None:
    cache = ReplyCache()
    cache.keep(key("a.org"), REPLY, 100.0)
    assert cache.find(key("a.org", "AAAA"), 100.0) is None
    assert cache.find(key("a.org")._replace(dnssec=True), 100.0) is None


def test_what_does_not_hold_or_is_large_is_not_kept() -> None:
    cache = ReplyCache()
    cache.keep(key("a.org"), replace(REPLY, lifetime=0), 100.0)
    cache.keep(key("b.org"), replace(REPLY, body=bytes(BODY_LARGEST + 1)), 100.0)
    assert len(cache) == 0


def test_it_is_bounded_and_what_was_asked_for_last_stays() -> None:
    cache = ReplyCache()
    for number in range(ENTRIES):
        cache.keep(key(f"n{number}.org"), REPLY, 100.0)
    cache.find(key("n0.org"), 101.0)
    cache.keep(key("one-more.org"), REPLY, 101.0)
    assert len(cache) == ENTRIES
    assert cache.find(key("n0.org"), 101.0)
    assert cache.find(key("n1.org"), 101.0) is None


def test_clear_forgets_everything() -> None:
    cache = ReplyCache()
    cache.keep(key("a.org"), REPLY, 100.0)
    cache.clear()
    assert cache.find(key("a.org"), 100.0) is None
