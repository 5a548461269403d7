"""A run of the suite goes on after what went wrong in one scenario."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.smoke import run as played
from scripts.smoke.case import Case
from scripts.smoke.registry import Group, Scenario
from scripts.smoke.result import Result
from scripts.smoke.run import Run, Settings


class Littered:
    """In a stack's place: what the first scenario leaves would not go."""

    def __init__(self, *_: object, own_library: bool) -> None:
        self.ground = self.network = None
        self.home = SimpleNamespace(root=Path())
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


def play_nothing(_: Case) -> None:
    return


def test_scenario_whose_vms_would_not_go_has_failed_and_the_next_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
