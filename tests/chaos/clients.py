"""Eight people who use the command at once, and how long each waited for which answer."""

import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.home import Home

GRACE = 15.0
DEADLINES = {
    "stop": 90.0, "start": 180.0, "restart": 240.0, "kill": 40.0,
    "suspend": 90.0, "resume": 180.0, "snapshot": 90.0, "restore": 240.0, "fork": 240.0,
}  # fmt: skip
"""Seconds until a verb must have answered, whatever the answer; 60 for those not named."""


@dataclass
class Answer:
    verb: str
    outcome: str
    seconds: float
    words: str = ""


@dataclass
class Clients:
    """``violations``: verbs without an answer, and answers that are bugs of ours."""

    home: Home
    answers: list[Answer] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    created: set[str] = field(default_factory=set)
    """Names of VMs that were made and deleted again, for dns to deny."""

    def run(self, verbs: tuple[tuple[str, str], ...]) -> str:
        with ThreadPoolExecutor(len(verbs)) as threads:
            answers = list(threads.map(lambda pair: self._do(*pair), verbs))
        tally = Counter(answer.outcome for answer in answers)
        return ", ".join(f"{number} {outcome}" for outcome, number in sorted(tally.items()))

    def _do(self, verb: str, vm: str) -> Answer:
        first, _, second = verb.partition("+")
        if verb == "create+delete":
            vm = f"extra-{len(self.answers)}-{time.monotonic_ns() % 100000}"
            self.created.add(vm)
        answer = self.ask(first, vm)
        if second == "resume":  # what was paused or suspended, or should have been
            time.sleep(0.5)
        if second and (answer.outcome == "0" or second == "resume"):
            answer = self.ask(second, vm)
        return answer

    def ask(self, verb: str, vm: str, name: str = "") -> Answer:
        """One command to its end; no end by its deadline is a violation."""
        deadline = DEADLINES.get(verb, 60.0) + GRACE
        started = time.monotonic()
        try:
            done = self.home.banger(*arguments(verb, vm, name), check=False, timeout=deadline)
            outcome, words = str(done.returncode), done.stderr.strip()
        except subprocess.TimeoutExpired:
            outcome, words = "no answer", ""
            self.violations.append(f"{verb} {vm} had no answer after {deadline:.0f} s")
        answer = Answer(verb, outcome, time.monotonic() - started, words)
        if "Traceback" in words or " failed at " in words or "please report it" in words:
            self.violations.append(f"{verb} {vm}: {words}")
        self.answers.append(answer)
        return answer


def arguments(verb: str, vm: str, name: str = "") -> list[str]:
    """The command line of a verb. ``name``: of a snapshot or a copy."""
    match verb:
        case "snapshot":
            return ["vm", "snapshot", "create", vm, name]
        case "restore":
            return ["vm", "snapshot", "restore", "--yes", vm, name]
        case "forget":
            return ["vm", "snapshot", "delete", vm, name]
        case "fork":
            return ["vm", "fork", vm, name]
        case "list":
            return ["vm", "list", "-o", "json"]
        case "nat" | "no-nat":
            return ["vm", "set", vm, f"--{verb}"]
        case "exec":
            return ["vm", "exec", vm, "--", "true"]
        case "create":
            return ["vm", "create", "--no-start", "--name", vm]
        case "stop" | "restart":
            return ["vm", verb, "--timeout", "20", vm]
        case _:
            return ["vm", verb, vm]
