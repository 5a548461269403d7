from pathlib import Path

import pytest

from services.images.jobs.build_plan import run
from shared.errors import BangerError, Code
from tests.unit.services.images.jobs.builds import JOB, question


def test_a_plan_has_a_key_for_each_step(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    plan = run(question(tmp_path, "FROM x\nCOPY a /a\nRUN y\nCMD z"), JOB)
    assert [step.kind for step in plan.steps] == ["copy", "run"]
    assert len({*plan.keys, plan.key}) == 3
    assert plan.config.cmd == ["/bin/sh", "-c", "z"]
    assert (plan.cached, plan.made) == (0, None)


def test_a_toml_file_gives_steps_too(tmp_path: Path) -> None:
    plan = run(question(tmp_path, 'base = "x"\npackages = ["git"]\nuser = "dev"', "toml"), JOB)
    assert [step.kind for step in plan.steps] == ["user", "packages"]
    assert plan.config.user == "dev"


def test_what_is_missing_in_the_context_is_told_before_there_is_a_vm(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="there is no a in") as caught:
        run(question(tmp_path, "FROM x\nCOPY a /a"), JOB)
    assert caught.value.code is Code.NOT_FOUND
