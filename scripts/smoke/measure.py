"""Coverage of every process: how it is switched on, collected, and read.

The environment does it: coverage.py's own .pth file starts it in each Python process that has
``COVERAGE_PROCESS_START`` (broker, services, supervisors and commands inherit it), each writes a
data file of its own at its end, and what is common to all is in pyproject.toml. A process that is
killed with SIGKILL writes none. ``python -m scripts.smoke.measure DIR…`` prints the report of
results that were brought together from several runs or machines.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from coverage import Coverage

from scripts.smoke.packages import Tally, silent_programs, table

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "pyproject.toml"
TESTS = ROOT / ".coverage-data" / "tests"
"""What ``make coverage`` has measured."""

MEASURED = ("cli", "services", "shared")
DATA, COMBINED = "data", "combined"


def environment(results: Path) -> dict[str, str]:
    """Variables that make every Python process leave its data below ``results``."""
    data = results / "coverage" / DATA
    return {
        "COVERAGE_PROCESS_START": str(SETTINGS),
        "COVERAGE_FILE": str(data),
        "BANGER_COVERAGE_ROOT": str(ROOT),
    }


def report(results: Sequence[Path]) -> str:
    """The table of all data below ``results``, beside the tests' where there is any."""
    combined = results[0] / "coverage" / COMBINED
    collected = Coverage(data_file=str(combined), config_file=str(SETTINGS))
    files = [str(path) for each in results for path in _data_files(each)]
    if not files:
        return "no process left any coverage"
    collected.combine(files, keep=True)
    collected.save()
    tests = dict(_measured(TESTS)) if TESTS.exists() else None
    smoke = dict(_measured(combined))
    text = f"coverage of {len(files)} processes:\n{table(smoke, tests)}"
    if silent := silent_programs(smoke):
        text += f"\nno process left coverage of {', '.join(silent)}"
    if tests is None:
        text += "\nfor the percentages of the unit and integration tests beside it: make coverage"
    return text


def _data_files(results: Path) -> list[Path]:
    return sorted((results / "coverage").glob(f"{DATA}.*"))


def _measured(data: Path) -> Iterator[tuple[Path, Tally]]:
    """Every source file of the product, those that nothing has imported too."""
    measured = Coverage(data_file=str(data), config_file=str(SETTINGS))
    measured.load()
    for top in MEASURED:
        for path in sorted((ROOT / top).rglob("*.py")):
            _, lines, _, missing, _ = measured.analysis2(str(path))
            yield path.relative_to(ROOT), Tally(len(lines), len(lines) - len(missing))


if __name__ == "__main__":
    print(report([Path(word) for word in sys.argv[1:]] or [Path(".smoke")]))
