"""Peers that send noise: counted, shut out for a while, and never more of them than we remember."""

from services.broker.offenders import LIMIT, REMEMBERED, WINDOW, Offenders

ONE, OTHER = b"one", b"other"


def noisy(count: int) -> Offenders:
    offenders = Offenders()
    for _ in range(count):
        offenders.add(ONE, 1000.0)
    return offenders


def test_one_bad_message_less_than_the_limit_is_forgiven() -> None:
    assert not noisy(LIMIT - 1).shut_out(ONE, 1000.0)


def test_peer_is_shut_out_from_the_limit_until_its_window_is_over() -> None:
    offenders = noisy(LIMIT)
    assert offenders.shut_out(ONE, 1000.0)
    assert not offenders.shut_out(OTHER, 1000.0)
    assert offenders.shut_out(ONE, 1000.0 + WINDOW - 0.1)
    assert not offenders.shut_out(ONE, 1000.0 + WINDOW)


def test_peer_begins_anew_after_its_window() -> None:
    offenders = noisy(LIMIT)
    offenders.forget_old(1000.0 + WINDOW)
    offenders.add(ONE, 1000.0 + WINDOW)
    assert not offenders.shut_out(ONE, 1000.0 + WINDOW)
    assert offenders.messages == LIMIT + 1


def test_ten_thousand_noisy_peers_are_bounded() -> None:
    """The one that is forgotten for it is the one that began first."""
    offenders = noisy(LIMIT)
    for number in range(REMEMBERED - 1):
        offenders.add(number.to_bytes(5, "big"), 1000.0)
    assert offenders.shut_out(ONE, 1000.0)
    offenders.add(OTHER, 1000.0)
    assert not offenders.shut_out(ONE, 1000.0)
    assert offenders.messages == LIMIT + REMEMBERED
