"""Intensity and backoff with a clock of our own."""

import pytest

from shared.host.restart import RestartPolicy


def test_delays_double_up_to_the_longest() -> None:
    policy = RestartPolicy()
    delays = [policy.after_exit(0.0, 1.0) for _ in range(8)]
    assert delays == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


def test_eleventh_death_within_the_window_is_the_last() -> None:
    policy = RestartPolicy()
    for second in range(10):
        assert policy.after_exit(float(second), 0.5) is not None
    assert policy.after_exit(10.0, 0.5) is None


def test_rare_deaths_are_forgiven_for_ever() -> None:
    policy = RestartPolicy()
    delays = {policy.after_exit(31.0 * number, 1.0) for number in range(100)}
    assert delays == {0.02}


def test_deaths_leave_the_window_one_by_one() -> None:
    policy = RestartPolicy(limit=2, window=10.0)
    assert policy.after_exit(0.0, 1.0) is not None
    assert policy.after_exit(9.0, 1.0) is not None
    assert policy.after_exit(10.5, 1.0) is not None
    assert policy.after_exit(11.0, 1.0) is None


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.01), (0.5, 0.015), (1.0, 0.02)])
def test_jitter_takes_off_up_to_half(jitter: float, delay: float) -> None:
    assert RestartPolicy().after_exit(0.0, jitter) == pytest.approx(delay)


def test_asking_for_a_start_clears_the_past() -> None:
    policy = RestartPolicy(limit=1)
    assert policy.after_exit(0.0, 1.0) == 0.02
    assert policy.after_exit(0.0, 1.0) is None
    policy.forget()
    assert policy.after_exit(0.0, 1.0) == 0.02
