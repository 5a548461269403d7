"""When L1 counts as stopped, on a virtual clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.smoke_kvm.heartbeat import BEAT, SILENCE_SECONDS, Pulse, beats_on, watch


class VirtualClock:
    """Time passes only while somebody waits; the watch is over after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._now, self._end = 0.0, seconds

    def now(self) -> float:
        return self._now

    def wait(self, seconds: float) -> bool:
        self._now += seconds
        return self._now > self._end


class Host:
    """An L1 that beats every ``every`` seconds until it stops at ``stops``."""

    def __init__(self, clock: VirtualClock, every: float, stops: float = float("inf")) -> None:
        self._clock, self._every, self._stops = clock, every, stops

    def beats(self) -> int:
        return int(min(self._clock.now(), self._stops) / self._every)


def losses(clock: VirtualClock, host: Host) -> list[tuple[float, str]]:
    told: list[tuple[float, str]] = []
    watch(host.beats, clock, lambda reason: told.append((clock.now(), reason)))
    return told


def test_a_host_that_has_stopped_is_noticed_within_a_minute_and_once() -> None:
    clock = VirtualClock(3600)
    ((noticed, reason),) = losses(clock, Host(clock, every=3, stops=600))
    assert SILENCE_SECONDS <= noticed - 600 <= 60
    assert reason.startswith("L1 has been silent for 4")


def test_a_host_that_was_never_heard_is_noticed_too() -> None:
    clock = VirtualClock(3600)
    ((noticed, _),) = losses(clock, Host(clock, every=3, stops=0))
    assert noticed <= 60


@pytest.mark.parametrize("every", [3, 30])
def test_one_that_beats_is_left_alone_also_when_it_is_slow(every: float) -> None:
    clock = VirtualClock(24 * 3600)
    assert losses(clock, Host(clock, every)) == []


def test_silence_ends_with_the_next_beat() -> None:
    beats: Iterator[tuple[int, float]] = iter([(1, 10.0), (1, 40.0), (2, 41.0), (2, 43.0)])
    pulse = Pulse(0.0)
    assert [pulse.silence(*each) for each in beats] == [0.0, 30.0, 0.0, 2.0]


def test_beats_are_counted_among_what_else_is_on_the_console(tmp_path: Path) -> None:
    assert beats_on(tmp_path / "not there yet") == 0
    (tmp_path / "0123456789ab").mkdir()
    (tmp_path / "0123456789ab/console.log").write_bytes(
        b"Debian GNU/Linux 12 l1 ttyS0\r\n\xff" + f"{BEAT}\r\n".encode() * 2
    )
    assert beats_on(tmp_path) == 2
