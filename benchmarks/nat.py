"""``python -m benchmarks.nat [CYCLES]``: how long a VM waits for its tap, and the tap takes to go.

As root, in a network namespace of its own: nothing of the host is touched. What is measured is one
pass of nat over the kernel, with a neighbour on the bridge (the usual case) and without (then the
bridge, the rules and forwarding come and go too). At the end nothing may be left; if anything is,
the exit status is 1.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.harness.measure import Figure, median, seconds
from tests.integration.nat_lab import Lab, made_lab, spec

CYCLES = 200
BAR = 60.0
"""Milliseconds for each attach and each detach."""

NEIGHBOUR = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
GUEST = spec("bbbbbbbbbbbb", "10.77.0.3", nat=True, publish="0.0.0.0:8080:80")


def figures(cycles: int = CYCLES) -> list[Figure]:
    """Medians in milliseconds. Raises AssertionError when the host is not as it was before."""
    with tempfile.TemporaryDirectory() as directory, made_lab(Path(directory)) as lab:
        before = lab.dump()
        alone = _cycles(lab, cycles, beside=False)
        lab.reconcile(NEIGHBOUR)
        beside = _cycles(lab, cycles, beside=True)
        lab.reconcile()
        assert lab.dump() == before, "something is left"
    return [
        *_figures("the only VM", alone, cycles),
        *_figures("a VM beside another", beside, cycles),
    ]


def _cycles(lab: Lab, cycles: int, *, beside: bool) -> tuple[list[float], list[float]]:
    others = (NEIGHBOUR,) if beside else ()
    attach, detach = [], []
    for _ in range(cycles):
        attach.append(seconds(lambda: lab.reconcile(*others, GUEST)))
        detach.append(seconds(lambda: lab.reconcile(*others)))
    return attach, detach


def _figures(what: str, times: tuple[list[float], list[float]], cycles: int) -> list[Figure]:
    return [
        Figure(f"nat: {verb} {what}", "ms", median(values) * 1e3, BAR, runs=cycles)
        for verb, values in zip(("attach", "detach"), times, strict=True)
    ]


def main() -> int:
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else CYCLES
    for figure in figures(cycles):
        met = "met" if figure.met else "NOT MET"
        sys.stdout.write(
            f"{figure.name:36} {figure.measured:7.1f} ms (bar {figure.bar:.0f}, {met})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
