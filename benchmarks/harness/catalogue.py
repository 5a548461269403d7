"""The benchmarks there are: every module of the package ``benchmarks`` itself."""

import importlib
import pkgutil
from dataclasses import replace

import benchmarks
from benchmarks.harness.measure import Figure


def names() -> list[str]:
    """In alphabetical order."""
    modules = pkgutil.iter_modules(benchmarks.__path__)
    return sorted(each.name for each in modules if not each.ispkg and each.name != "__main__")


def run(name: str, *, smoke: bool) -> list[Figure]:
    """Run one benchmark. With ``smoke`` its figures are not judged: they have no bar and no limit.

    Raises ``NotHere`` when this host lacks what it needs.
    """
    module = importlib.import_module(f"benchmarks.{name}")
    figures: list[Figure] = module.figures(smoke=smoke)
    return [replace(figure, bar=None, limit=None) for figure in figures] if smoke else figures
