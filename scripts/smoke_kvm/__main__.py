"""``python -m scripts.smoke_kvm``: the smoke suite on Firecracker and KVM, inside L1.

Exits with 0, 1 (the suite failed) or 2 (it could not be played, also not in a second L1).
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from scripts.smoke import measure
from scripts.smoke_kvm import inside, parcel
from scripts.smoke_kvm.dependencies import site_packages
from scripts.smoke_kvm.l1 import L1
from scripts.smoke_kvm.step import StepFailed, step
from shared.paths import Paths

RESULTS = Path(".smoke-kvm")
FAILED, UNUSABLE = 1, 2
ATTEMPTS = 2
"""An L1 that was lost says nothing of banger; one that is lost twice is for people to look at."""
PREPARE_SECONDS, FETCH_SECONDS = 300.0, 120.0
JAILED_SECONDS, RESOLVED_SECONDS, BENCH_SECONDS = 900.0, 600.0, 1500.0
USERS = ("root", inside.USER)


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: Path = options.results.absolute()
    shutil.rmtree(results, ignore_errors=True)
    began = time.monotonic()
    try:
        allowed = 1 if options.keep else ATTEMPTS  # two would be in each other's way
        status = attempts(allowed, lambda number: _attempt(options, results, number))
    except KeyboardInterrupt:
        print("smoke-kvm: interrupted", file=sys.stderr)
        status = UNUSABLE
    print(f"smoke-kvm: {time.monotonic() - began:.0f} s, results in {results}")
    return status


def attempts(allowed: int, attempt: Callable[[int], int]) -> int:
    """The status of the first ``attempt`` (1, 2, …) that raises no StepFailed; ``UNUSABLE`` when
    all of them do."""
    for number in range(1, allowed + 1):
        try:
            return attempt(number)
        except StepFailed as failure:
            print(f"smoke-kvm: attempt {number} of {allowed}: {failure}", file=sys.stderr)
    return UNUSABLE


def _attempt(options: argparse.Namespace, results: Path, number: int) -> int:
    """Everything, in a new L1. What an earlier attempt has logged of its L1 stays."""
    logs = results / f"l1-{number}"
    logs.mkdir(parents=True)
    for user in options.users.split(","):
        shutil.rmtree(results / user, ignore_errors=True)
    l1 = L1(logs / "steps.log")
    try:
        return _play(l1, options, results)
    except StepFailed:
        print(f"smoke-kvm: all output: {logs}", file=sys.stderr)
        raise
    finally:
        _close(l1, logs, keep=options.keep)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.smoke_kvm", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--users", default=",".join(USERS), metavar="A,B", help="play as these")
    parser.add_argument("--scenario", metavar="A,B", help="only these, for each user")
    parser.add_argument(
        "--suite-only", action="store_true", help="no jailed VM, no comparison by hand"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="groups side by side")
    parser.add_argument("--scale", type=float, default=4.0, help="factor on the suite's deadlines")
    parser.add_argument("--seconds", type=float, default=1500.0, help="deadline of one suite")
    parser.add_argument("--vcpu", type=int, default=2)
    parser.add_argument("--memory", default="3G")
    parser.add_argument("--shell", action="store_true", help="a shell in L1, no suite")
    parser.add_argument("--keep", action="store_true", help="leave L1 running, say how to use it")
    return parser


def _play(l1: L1, options: argparse.Namespace, results: Path) -> int:
    _prepare(l1, options)
    if options.shell:
        l1.unwatch()
        return subprocess.call(l1.exec_argv("bash", "-l"), env=l1.home.environment)
    statuses = [_suite(l1, user, options, results) for user in options.users.split(",")]
    if not options.suite_only:
        statuses += _beyond_the_suite(l1)
    with step("look for what is left in L1"):
        statuses.append(l1.play(["sh", "-c", inside.CHECK], PREPARE_SECONDS))
    print(measure.report([results / user for user in options.users.split(",")]))
    return FAILED if any(statuses) else 0


def _prepare(l1: L1, options: argparse.Namespace) -> None:
    paths = Paths.from_environment()
    with step("build the images and the kernel"):
        l1.build()
    with step("fetch Firecracker and the Python packages"):
        packages = site_packages(_tools(), l1.runner)
        firecracker = _firecracker()
    with step("boot L1"):
        l1.boot(options.vcpu, options.memory)

    def write(stream: IO[bytes]) -> None:
        parcel.write(stream, paths, packages, firecracker)

    with step("put the checkout, images and kernels in"):
        l1.put(write)
    with step("load KVM, settle, compile"):
        l1.sh(inside.PREPARE, PREPARE_SECONDS)


def _suite(l1: L1, user: str, options: argparse.Namespace, results: Path) -> int:
    words = ["--jobs", str(options.jobs), "--again"]
    chosen = options.scenario or ("" if user == "root" else inside.USERS_SCENARIOS)
    words += ["--scenario", chosen] if chosen else []
    try:
        with step(f"the suite as {user}"):
            return _judged(l1.play(inside.suite(user, words, options.scale), options.seconds))
    finally:
        with step(f"bring the results of {user} out"):
            l1.fetch(f"{inside.RESULTS}/{user}", results / user, FETCH_SECONDS)


def _judged(status: int) -> int:
    """0 and 1 are the suite's own words; anything else (ssh's 255 above all) is L1's."""
    if status not in (0, FAILED):
        raise StepFailed(f"it could not be played to its end (status {status})")
    return status


def _beyond_the_suite(l1: L1) -> list[int]:
    """What needs root and a user side by side, what needs L1's own network, and what is a figure
    and no test."""
    bench = [*inside.module("benchmarks"), "firecracker", "saved_firecracker"]
    return [
        _twice(
            l1,
            "an ordinary user's VM in a jail",
            inside.module("scripts.smoke_kvm.jailed"),
            JAILED_SECONDS,
        ),
        _twice(
            l1,
            "names by systemd-resolved",
            inside.module("scripts.smoke_kvm.resolved"),
            RESOLVED_SECONDS,
        ),
        _twice(l1, "Firecracker by us and by hand", bench, BENCH_SECONDS),
    ]


def _twice(l1: L1, what: str, argv: list[str], seconds: float) -> int:
    """Once more when it fails, in full view, as the suite does with its scenarios (decision
    0012)."""
    with step(what):
        status = _judged(l1.play(argv, seconds))
    if status == 0:
        return 0
    with step(f"AGAIN, since it failed: {what}"):
        return _judged(l1.play(argv, seconds))


def _tools() -> Path:
    """The cache of what only tests need; scripts/firecracker has the same."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "banger" / "test-tools"


def _firecracker() -> Path:
    script = str(parcel.ROOT / "scripts" / "firecracker")
    done = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise StepFailed("scripts/firecracker failed")
    return Path(done.stdout.strip())


def _close(l1: L1, logs: Path, *, keep: bool) -> None:
    """Not to be interrupted: what is half deleted would stay."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    l1.keep_logs(logs)
    if keep:
        l1.unwatch()
        names = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "BANGER_RUN_DIR")
        words = " ".join(f"{name}={l1.home.environment[name]}" for name in names)
        print(f"smoke-kvm: L1 stays: env {words} banger vm ssh l1; then vm delete l1, daemon stop")
        return
    with step("delete L1"):
        l1.close()
    signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
