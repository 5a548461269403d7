"""The benchmarks there are: whatever is in the package ``benchmarks``, this folder apart."""

import importlib
import pkgutil
from dataclasses import replace

import benchmarks
from benchmarks.harness.measure import Figure

NO_BENCHMARKS = {"__main__", "harness"}


def names() -> list[str]:
    """In alphabetical order."""
    return sorted({each.name for each in pkgutil.iter_modules(benchmarks.__path__)} - NO_BENCHMARKS)


def run(name: str, *, smoke: bool) -> list[Figure]:
    """Run one benchmark. With ``smoke`` its figures are not judged: they have no bar and no limit.

    Raises ``NotHere`` when this host lacks what it needs.
    """
    module = importlib.import_module(f"benchmarks.{name}")
    figures: list[Figure] = module.figures(smoke=smoke)
    return [replace(figure, bar=None, limit=None) for figure in figures] if smoke else figures
