"""A run of the suite goes on after what went wrong in one scenario."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.smoke import run as played
from scripts.smoke.case import Case
from scripts.smoke.expect import Failed
from scripts.smoke.registry import Group, Scenario
from scripts.smoke.result import Result
from scripts.smoke.run import Run, Settings


class Littered:
    """In a stack's place: what the first scenario leaves would not go."""

    root: Path

    def __init__(self, *_: object, own_library: bool) -> None:
        self.ground = self.network = None
        self.home = SimpleNamespace(root=self.root)
        self.shared = "a VM that is not to be trusted any more"
        self._cleaned = 0

    def clean(self) -> None:
        self._cleaned += 1
        if self._cleaned == 1:
            raise AssertionError("it would not go")
        assert not self.shared

    def keep_logs(self, into: Path) -> list[Path]:
        return [into / "api.log"]

    def close(self, _: Path) -> list[str]:
        return []


class Tidy(Littered):
    """In a stack's place: all goes well."""

    def clean(self) -> None:
        return


def play_nothing(_: Case) -> None:
    return


def test_scenario_whose_vms_would_not_go_has_failed_and_the_next_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Littered, "root", tmp_path, raising=False)
    monkeypatch.setattr(played, "Stack", Littered)
    told: list[Result] = []
    settings = Settings("user", False, 1, tmp_path, "", {})
    scenarios = [Scenario(name, Group("both"), "", play_nothing) for name in ("one", "two")]
    Run(settings, told.append).play(scenarios)
    one, two, leftovers = told
    assert (one.outcome, two.outcome, leftovers.outcome) == ("failed", "passed", "passed")
    assert "it would not go" in one.reason
    assert one.logs[1:] == (str(tmp_path / "logs" / "one" / "api.log"),)
    assert "it would not go" in Path(one.logs[0]).read_text()


def test_scenario_that_is_played_again_does_not_find_what_its_first_try_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Case] = []

    def makes_a_directory(case: Case) -> None:
        tries.append(case)
        (case.directory / "repository").mkdir()
        if len(tries) == 1:
            raise Failed("the VMM ended by itself")

    monkeypatch.setattr(Littered, "root", tmp_path, raising=False)
    monkeypatch.setattr(played, "Stack", Tidy)
    told: list[Result] = []
    settings = Settings("user", False, 1, tmp_path, "", {}, again=True)
    Run(settings, told.append).play([Scenario("a", Group("both"), "", makes_a_directory)])
    assert [result.outcome for result in told] == ["repeated", "passed", "passed"]
