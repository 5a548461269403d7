"""Every benchmark gets through one short pass. What it measures is not judged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import parse
from benchmarks.harness import catalogue
from benchmarks.harness.measure import NotHere

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_all_benchmarks_are_run_when_none_is_named() -> None:
    assert (parse([]).name, parse([]).smoke) == ([], False)


def test_name_of_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["fleat"])
    assert "there is no benchmark 'fleat'" in capsys.readouterr().err


@pytest.mark.parametrize("name", catalogue.names())
def test_benchmark_gets_through_one_pass(name: str) -> None:
    try:
        figures = catalogue.run(name, smoke=True)
    except NotHere as reason:
        pytest.skip(str(reason))
    assert figures
    assert all(figure.measured > 0 and figure.reference > 0 for figure in figures)


def test_command_prints_a_table_and_the_same_figures_as_json() -> None:
    argv = [sys.executable, "-m", "benchmarks", "--smoke", "broker"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    _, *table, last = done.stdout.splitlines()
    figures = json.loads(last)
    assert all(line.startswith(f["name"]) for line, f in zip(table, figures, strict=True))
