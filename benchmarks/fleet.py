"""Many machines at once: twenty-one small guests, a hundred stopped VMs, one command for ten."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cli import BANGER, banger
from benchmarks.harness.measure import Figure, median, seconds
from benchmarks.machine import proportional_set_size
from shared.host.locks import holder
from shared.paths import Paths

RUNNING, STOPPED, STOPPED_AT_ONCE = 21, 100, 10
LISTINGS = 15
READOPTIONS = 5
READOPTION_BOUND = 30.0
SETTLED_BOUND = 600.0


def figures(paths: Paths) -> list[Figure]:
    prefix = f"fleet-{os.getpid()}"
    guests = [f"{prefix}-{number}" for number in range(RUNNING)]
    rows = [f"{prefix}-row-{number}" for number in range(STOPPED)]
    empty = _listing()
    try:
        for name in guests:
            banger("vm", "create", "--name", name, "--memory", "256M", "--vcpu", "1")
        for name in guests:
            _settled(name)
        ids = {name: _show(name)["id"] for name in guests}
        memory = median([proportional_set_size(paths, vm_id) for vm_id in ids.values()])
        readopted = median([_readoption(paths, ids[guests[0]]) for _ in range(READOPTIONS)])
        one = seconds(lambda: banger("vm", "stop", guests[0]))
        ten = seconds(lambda: banger("vm", "stop", *guests[1 : 1 + STOPPED_AT_ONCE]))
        for name in rows:
            banger("vm", "create", "--no-start", "--name", name)
        full = _listing()
    finally:
        names = json.loads(banger("vm", "list", "-o", "json").stdout)
        mine = [vm["name"] for vm in names if vm["name"].startswith(prefix)]
        banger("vm", "delete", *mine)
    return [
        Figure(f"supervisor PSS at {RUNNING} VMs", "MB", memory, 20.0, runs=RUNNING),
        Figure("supervisor kill -9 to re-adopted", "s", readopted, 1.0, runs=READOPTIONS),
        Figure(f"vm stop of {STOPPED_AT_ONCE}", "s", ten, 2.0, one, "vm stop of one", 1),
        Figure(
            f"vm list, {STOPPED} stopped and 10 running",
            "s",
            full,
            1.5,
            empty,
            "with none",
            LISTINGS,
        ),
    ]


def _listing() -> float:
    return median([seconds(lambda: banger("vm", "list", "-o", "json")) for _ in range(LISTINGS)])


def _settled(name: str) -> None:
    """Wait for the guest's systemd; "degraded" is settled too, hence no look at the status."""
    argv = [BANGER, "vm", "exec", name, "--", "systemctl", "is-system-running", "--wait"]
    subprocess.run(argv, capture_output=True, check=False, timeout=SETTLED_BOUND)


def _show(name: str) -> dict[str, str]:
    shown: dict[str, str] = json.loads(banger("vm", "show", name, "-o", "json").stdout)
    return shown


def _readoption(paths: Paths, vm_id: str) -> float:
    """From the signal until another process holds the VM's lock and has said it took over."""
    lock, log = paths.vm_run(vm_id) / "lock", paths.vm_state(vm_id) / "supervisor.log"
    pid = holder(lock)
    assert pid
    before = log.read_text().count("took over the VMM")
    started = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    _until(lambda: _adopted(lock, log, pid, before))
    return time.perf_counter() - started


def _adopted(lock: Path, log: Path, previous: int, before: int) -> bool:
    now = holder(lock)
    return bool(now and now != previous and log.read_text().count("took over the VMM") > before)


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + READOPTION_BOUND
    while not condition():
        if time.monotonic() > limit:
            raise SystemExit("the supervisor was not replaced in time")
        time.sleep(0.005)
