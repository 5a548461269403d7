"""How often an L1 is begun anew."""

import pytest

from scripts.smoke_kvm.__main__ import ATTEMPTS, FAILED, UNUSABLE, attempts
from scripts.smoke_kvm.step import HostLost, StepFailed


class Hosts:
    """Each attempt has the next of these outcomes."""

    def __init__(self, *outcomes: int | StepFailed) -> None:
        self._outcomes = outcomes
        self.asked: list[int] = []

    def play(self, number: int) -> int:
        self.asked.append(number)
        outcome = self._outcomes[number - 1]
        if isinstance(outcome, StepFailed):
            raise outcome
        return outcome


@pytest.mark.parametrize("status", [0, FAILED])
def test_what_the_suite_said_stands(status: int) -> None:
    hosts = Hosts(status)
    assert attempts(ATTEMPTS, hosts.play) == status
    assert hosts.asked == [1]


def test_a_host_that_was_lost_is_followed_by_another(capsys: pytest.CaptureFixture[str]) -> None:
    hosts = Hosts(HostLost("L1 has stopped"), 0)
    assert attempts(2, hosts.play) == 0
    assert hosts.asked == [1, 2]
    assert capsys.readouterr().err == "smoke-kvm: attempt 1 of 2: L1 has stopped\n"


def test_when_all_are_lost_it_could_not_be_played() -> None:
    hosts = Hosts(StepFailed("late"), HostLost("silent"))
    assert attempts(2, hosts.play) == UNUSABLE
