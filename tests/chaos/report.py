"""What came of a run: a table for people, JSON for programs."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.chaos.clients import Answer


@dataclass
class Report:
    seed: int
    vms: int
    faults: Counter[str] = field(default_factory=Counter)
    settle_seconds: list[float] = field(default_factory=list)
    adopt_seconds: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    lines: int = 0
    """Synced lines that all guests together had written at the end."""

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "vms": self.vms,
            "seconds": round(self.seconds, 1),
            "faults": sum(self.faults.values()),
            "faults_by_kind": dict(self.faults.most_common()),
            "violations": self.violations,
            "settle_seconds": spread(self.settle_seconds),
            "adopt_seconds": spread(self.adopt_seconds),
            "synced_lines": self.lines,
            "verbs": self._verbs(),
        }

    def _verbs(self) -> dict[str, Any]:
        by_verb: dict[str, list[Answer]] = defaultdict(list)
        for answer in self.answers:
            by_verb[answer.verb].append(answer)
        return {
            verb: {
                "outcomes": dict(Counter(answer.outcome for answer in answers)),
                **spread([answer.seconds for answer in answers]),
            }
            for verb, answers in sorted(by_verb.items())
        }

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def __str__(self) -> str:
        told = self.as_json()
        lines = [f"\n{told['faults']} faults in {self.seconds:.0f} s, seed {self.seed}"]
        lines += [f"  {kind:<24}{number:>5}" for kind, number in told["faults_by_kind"].items()]
        lines += [f"settled after: {told['settle_seconds']}"]
        lines += [f"adopted after: {told['adopt_seconds']}"]
        lines += ["verbs (outcome is the exit status; seconds)"]
        for verb, found in told["verbs"].items():
            times = f"p50 {found.get('p50', 0):6.2f}  p99 {found.get('p99', 0):6.2f}"
            lines.append(f"  {verb:<12}{times}  {found['outcomes']}")
        lines += [f"violations: {len(self.violations)}", *self.violations]
        return "\n".join(lines)


def spread(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest, in seconds; empty for nothing."""
    if len(values) < 2:
        return {"count": len(values), **({"max": round(values[0], 3)} if values else {})}
    cuts = quantiles(values, n=100, method="inclusive")
    p50, p99 = round(cuts[49], 3), round(cuts[98], 3)
    return {"count": len(values), "p50": p50, "p99": p99, "max": round(max(values), 3)}
