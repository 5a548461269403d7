"""Play the scenarios: groups side by side, each on a stack of its own, its scenarios in order."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts.smoke.case import Case
from scripts.smoke.expect import Failed, Skipped
from scripts.smoke.registry import Group, Scenario, grouped
from scripts.smoke.result import Outcome, Result
from scripts.smoke.stack import Stack
from shared.contract.messages.vm import NetworkMode

INTERRUPTED = "the suite was interrupted"


@dataclass(frozen=True)
class Settings:
    """How to play: ``network`` is the mode of groups that are for both; ``only_network`` leaves
    out those that need the other one."""

    network: NetworkMode
    only_network: bool
    jobs: int
    results: Path
    config: str
    environment: dict[str, str]
    again: bool = False
    """Whether a scenario that failed is played once more."""

    def obstacle(self, group: Group) -> str:
        """Why a group cannot be played, or ""."""
        if group.network in (None, self.network):
            return ""
        if group.network == "bridge":
            return "bridge mode takes root, and was not chosen"
        return "--network bridge was asked for" if self.only_network else ""


@dataclass
class Run:
    """One run of the suite. ``tell`` hears of each result as it comes, from several threads."""

    settings: Settings
    tell: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def interrupted(self) -> bool:
        return self._stopping.is_set()

    def play(self, scenarios: Sequence[Scenario]) -> None:
        """All of them; Ctrl-C ends what is at play and cleans up."""
        groups = grouped(list(scenarios))
        with ThreadPoolExecutor(self.settings.jobs) as threads:
            futures = [
                threads.submit(self._play_group, number, group, groups[group])
                for number, group in enumerate(groups, 1)
            ]
            try:
                _wait(futures)
            except KeyboardInterrupt:
                self._stopping.set()
                _wait(futures)
        self._told(self._last_check())

    def _play_group(self, number: int, group: Group, scenarios: list[Scenario]) -> None:
        obstacle = INTERRUPTED if self.interrupted else self.settings.obstacle(group)
        if obstacle:
            for each in scenarios:
                self._told(Result(each.name, group.name, "skipped", 0.0, obstacle))
            return
        settings = self.settings
        network = group.network or settings.network
        config = group.config + settings.config
        stack = Stack(number, network, config, settings.environment, own_library=group.own_library)
        try:
            for each in scenarios:
                self._play_until_told(stack, each)
        finally:
            left = stack.close(settings.results / "logs" / group.name)
            self.leftovers += [f"{group.name}: {what}" for what in left]

    def _play_until_told(self, stack: Stack, scenario: Scenario) -> None:
        result = self._play_one(stack, scenario)
        if result.outcome == "failed" and self.settings.again and not self.interrupted:
            self._told(replace(result, outcome="repeated"))
            result = self._play_one(stack, scenario)
        self._told(result)

    def _play_one(self, stack: Stack, scenario: Scenario) -> Result:
        if self.interrupted:
            return Result(scenario.name, scenario.group.name, "skipped", 0.0, INTERRUPTED)
        case = Case(stack)
        began = time.monotonic()
        outcome, reason = _outcome(case, scenario)
        seconds = time.monotonic() - began
        kept = self._keep_logs(stack, scenario) if outcome == "failed" else []
        if problem := _clean(stack):
            kept = kept or self._keep_logs(stack, scenario)
            outcome, reason = "failed", f"{reason}\n{problem}".strip()
        shown = [call.shown() for call in case.calls]
        log = self._write_log(scenario, [*shown, f"# {outcome} {reason}"])
        logs = (str(log), *map(str, kept)) if outcome == "failed" else ()
        last = shown[-1] if shown and outcome == "failed" else ""
        return Result(scenario.name, scenario.group.name, outcome, seconds, reason, last, logs)

    def _keep_logs(self, stack: Stack, scenario: Scenario) -> list[Path]:
        """Of a scenario that failed: whatever state the shared VM is in, the next gets another."""
        stack.shared = ""
        return stack.keep_logs(self.settings.results / "logs" / scenario.name)

    def _write_log(self, scenario: Scenario, parts: list[str]) -> Path:
        """All that a scenario has typed, and what came of it."""
        path = self.settings.results / "commands" / f"{scenario.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(parts) + "\n")
        return path

    def _told(self, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            self.tell(result)

    def _last_check(self) -> Result:
        outcome: Outcome = "failed" if self.leftovers else "passed"
        return Result("leftovers", "run", outcome, 0.0, "\n".join(self.leftovers))


def _outcome(case: Case, scenario: Scenario) -> tuple[Outcome, str]:
    try:
        scenario.play(case)
    except Failed as failed:
        return "failed", str(failed)
    except Skipped as skipped:
        return "skipped", str(skipped)
    except Exception:  # a fault of the scenario itself: the others are played all the same
        return "failed", traceback.format_exc()
    finally:
        case.close()
    return "passed", ""


def _clean(stack: Stack) -> str:
    """Why what a scenario left would not go, or ""; the others are played all the same."""
    try:
        stack.clean()
    except Exception:
        return f"the VMs it left would not be deleted:\n{traceback.format_exc()}"
    return ""


def _wait(futures: "list[Future[None]]") -> None:
    """For all of them; what one raised is a bug of the suite."""
    for future in futures:
        future.result()
