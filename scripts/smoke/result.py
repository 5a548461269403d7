"""What came of each scenario, and how it is told."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "repeated", "skipped"]
"""repeated: it failed and was played once more (``--again``), which has a result of its own."""
MARKS: dict[Outcome, str] = {
    "passed": "ok",
    "failed": "FAILED",
    "repeated": "AGAIN",
    "skipped": "skipped",
}


@dataclass(frozen=True)
class Result:
    """``reason`` is why it failed or was skipped; ``command`` its last one, as in a terminal."""

    name: str
    group: str
    outcome: Outcome
    seconds: float
    reason: str = ""
    command: str = ""
    logs: tuple[str, ...] = ()

    def line(self) -> str:
        line = f"{MARKS[self.outcome]:<8}{self.seconds:6.1f} s  {self.group}/{self.name}"
        return f"{line}: {self.reason}" if self.outcome == "skipped" else line

    def details(self) -> str:
        """What a person needs who has to find out why it failed."""
        parts = [f"  {self.reason}", *self.command.splitlines()]
        if self.logs:
            parts.append("logs:")
            parts += [f"  {log}" for log in self.logs]
        return "\n".join(parts).replace("\n", "\n  ")


def closing_line(results: Sequence[Result]) -> str:
    count = Counter(result.outcome for result in results)
    return f"smoke: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"


def repeated_line(results: Sequence[Result]) -> str:
    """Which passed or failed at the second attempt only, "" for none."""
    names = [result.name for result in results if result.outcome == "repeated"]
    return f"smoke: failed first and played again: {', '.join(names)}" if names else ""


def exit_status(results: Sequence[Result]) -> int:
    """0 when something passed and nothing failed, else 1."""
    outcomes = {result.outcome for result in results}
    return 0 if "passed" in outcomes and "failed" not in outcomes else 1


def as_json(results: Sequence[Result], seconds: float) -> str:
    found = [asdict(result) for result in results]
    return json.dumps({"seconds": round(seconds, 1), "scenarios": found}, indent=2)


def write_json(path: Path, results: Sequence[Result], seconds: float) -> None:
    path.write_text(as_json(results, seconds) + "\n")
