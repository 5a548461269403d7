"""``python -m scripts.smoke``: play the scenarios; exit with 0, 1 (one failed), 2 (could not)."""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from scripts.smoke import measure, scenarios
from scripts.smoke.preflight import obstacles
from scripts.smoke.registry import REGISTRY, Scenario, UnknownScenario, grouped
from scripts.smoke.result import (
    Result,
    as_json,
    closing_line,
    exit_status,
    repeated_line,
    write_json,
)
from scripts.smoke.run import Run, Settings
from scripts.smoke.stack import Stack

RESULTS = Path(".smoke")
UNUSABLE = 2


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    scenarios.load()
    try:
        selected = REGISTRY.select(options.scenario)
        settings = _settings(options)
    except (UnknownScenario, OSError) as error:
        return _refuse([str(error)])
    if options.list:
        return _list(selected)
    settings.results.mkdir(parents=True, exist_ok=True)
    if problems := _preflight(settings, selected):
        return _refuse(problems)
    return _play(options, settings, selected)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.smoke", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show the scenarios, play none")
    parser.add_argument("--scenario", metavar="A,B", help="only these scenarios or groups")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="groups side by side")
    parser.add_argument("--network", choices=("user", "bridge"), help="only this mode")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="results on stdout, the rest on stderr")
    parser.add_argument("--coverage", action="store_true", help="measure every process of ours")
    parser.add_argument(
        "--again",
        action="store_true",
        help="play a failed scenario once more, and say so; for hosts that lose guests",
    )
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    more = os.environ.get("BANGER_SMOKE_CONFIG")
    results: Path = options.results.absolute()
    return Settings(
        network=options.network or ("bridge" if os.geteuid() == 0 else "user"),
        only_network=options.network is not None,
        jobs=max(1, options.jobs),
        results=results,
        config=Path(more).read_text() if more else "",
        environment=measure.environment(results) if options.coverage else {},
        again=options.again,
    )


def _list(selected: list[Scenario]) -> int:
    for each in selected:
        print(f"{each.group.name}/{each.name:<28} {each.summary}")
    return 0


def _refuse(problems: list[str]) -> int:
    for problem in problems:
        print(f"smoke: {problem}", file=sys.stderr)
    return UNUSABLE


def _preflight(settings: Settings, selected: list[Scenario]) -> list[str]:
    if settings.network == "bridge" and os.geteuid() != 0:
        return ["bridge mode: takes root, for a network namespace; use --network user"]
    stack = Stack(0, settings.network, settings.config, {})
    try:
        return obstacles(stack, len(grouped(selected)))
    finally:
        stack.ground.close()
        shutil.rmtree(stack.home.root)


def _play(options: argparse.Namespace, settings: Settings, selected: list[Scenario]) -> int:
    _clear(settings.results)
    stream = sys.stderr if options.json else sys.stdout

    def tell(result: Result) -> None:
        print(result.line(), file=stream, flush=True)
        if result.outcome in ("failed", "repeated"):
            print(result.details(), file=stream, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    run = Run(settings, tell)
    run.play(selected)
    seconds = time.monotonic() - began
    write_json(settings.results / "results.json", run.results, seconds)
    if options.json:
        print(as_json(run.results, seconds))
    if options.coverage:
        print(measure.report([settings.results]), file=stream)
    print(f"{seconds:.0f} s, results in {settings.results}", file=stream)
    if again := repeated_line(run.results):
        print(again, file=stream)
    print(closing_line(run.results), file=stream)
    return 1 if run.interrupted else exit_status(run.results)


def _clear(results: Path) -> None:
    """An earlier run's results would be taken for this one's."""
    for name in ("commands", "logs", "coverage"):
        shutil.rmtree(results / name, ignore_errors=True)
        (results / name).mkdir()
    (results / "results.json").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
