"""Arithmetic of the report: covered lines by package, in two measurements, and the difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

DEPTH = 3
"""Package names are cut here: migrations' versions count as migrations."""


@dataclass(frozen=True)
class Tally:
    """Executable lines, and those of them that ran."""

    lines: int = 0
    covered: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.lines + other.lines, self.covered + other.covered)

    @property
    def percent(self) -> float:
        """0 to 100; nothing to run has all of it run."""
        return 100 * self.covered / self.lines if self.lines else 100.0


Files = Mapping[Path, Tally]
"""Path below the checkout → what was measured."""


def package_of(path: PurePath) -> str:
    """``services/api/policy/names.py`` → ``services.api``."""
    return ".".join(path.parent.parts[:DEPTH])


def by_package(files: Files) -> dict[str, Tally]:
    """Sums per package, sorted by name; packages without an executable line are left out."""
    sums: dict[str, Tally] = {}
    for path, tally in files.items():
        name = package_of(path)
        sums[name] = sums.get(name, Tally()) + tally
    return {name: tally for name, tally in sorted(sums.items()) if tally.lines}


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def silent_programs(files: Files) -> list[str]:
    """Packages with a ``__main__`` of which no line ran: no process of theirs left its data."""
    programs = [path.parent for path in files if path.name == "__main__.py"]
    return sorted(
        ".".join(program.parts)
        for program in programs
        if not total(tally for path, tally in files.items() if program in path.parents).covered
    )


def table(smoke: Files, tests: Files | None) -> str:
    """A row per package and one for all: lines, smoke %, and with ``tests`` their % and how much
    more (+) or less (-) smoke has run."""
    head = f"{'package':<34}{'lines':>7}{'smoke %':>9}"
    if tests is not None:
        head += f"{'unit+integration %':>20}{'delta':>8}"
    ours, theirs = by_package(smoke), by_package(tests or {})
    rows = [_row(name, tally, theirs.get(name, Tally(tally.lines)), tests) for name, tally
            in ours.items()]  # fmt: skip
    rows.append(_row("all", total(ours.values()), total(theirs.values()), tests))
    return "\n".join([head, *rows])


def _row(name: str, smoke: Tally, unit: Tally, tests: Files | None) -> str:
    row = f"{name:<34}{smoke.lines:>7}{smoke.percent:>9.1f}"
    if tests is not None:
        row += f"{unit.percent:>20.1f}{smoke.percent - unit.percent:>+8.1f}"
    return row
