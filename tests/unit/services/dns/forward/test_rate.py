"""How much a guest may ask, and how often it is said; the clock is a number."""

from services.dns.forward.rate import BURST, LOG_INTERVAL, PER_SECOND, LogLimiter, QuestionRates


def taken(rates: QuestionRates, guest: str, now: float, tries: int = 1000) -> int:
    return sum(rates.take(guest, now) for _ in range(tries))


def test_burst_then_what_a_second_gives() -> None:
    rates = QuestionRates()
    assert taken(rates, "a", 100.0) == BURST
    assert taken(rates, "a", 101.0) == PER_SECOND
    assert taken(rates, "a", 101.0) == 0


def test_a_long_silence_gives_one_burst_and_no_more() -> None:
    rates = QuestionRates()
    taken(rates, "a", 100.0)
    assert taken(rates, "a", 10_000.0) == BURST


def test_guests_do_not_share() -> None:
    rates = QuestionRates()
    taken(rates, "a", 100.0)
    assert taken(rates, "b", 100.0) == BURST


def test_guests_that_are_gone_are_forgotten() -> None:
    rates = QuestionRates()
    taken(rates, "a", 100.0)
    rates.take("b", 100.0)
    rates.keep_only({"b"})
    assert len(rates) == 1
    assert rates.take("a", 100.0)


def test_the_same_is_said_once_a_minute_of_each_guest() -> None:
    quiet = LogLimiter()
    said = [quiet.may_log("a", "flood", 100.0 + second) for second in range(120)]
    assert said.count(True) == 120 / LOG_INTERVAL
    assert quiet.may_log("a", "other", 101.0)
    assert quiet.may_log("b", "flood", 101.0)


def test_what_was_said_of_a_guest_that_is_gone_is_forgotten() -> None:
    quiet = LogLimiter()
    quiet.may_log("a", "flood", 100.0)
    quiet.keep_only({"b"})
    assert quiet.may_log("a", "flood", 100.0)
