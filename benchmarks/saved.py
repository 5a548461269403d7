"""Suspend, snapshots and forks of a guest of 512 MiB.

The floor of a resume is the same QEMU command line by hand, which loads the memory of a snapshot of
the same guest, until its agent answers. What is held against it is what the supervisor takes until
then; the whole command opens ssh's connection besides. The floor of a save is a copy of the same
files without their holes.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.loaded_by_hand import LoadedByHand
from benchmarks.harness.measure import Figure, median, medians, seconds
from benchmarks.harness.product import installed, settle
from services.api.policy.copy_room import COPIES_PER_PROCESSOR, usable_processors
from services.vm_supervisor.lifecycle.booting import AGENT_ANSWERS
from shared.vm import files
from shared.vm.sparse import copy_sparse
from tests.home import Home

VM, SNAPSHOT = "bench", "settled"
RUNS = 5
CLONES = 20
REST_SECONDS = 15.0
"""Between the time when the guest's systemd has settled and the first figure."""
MEGA = 1e6


def figures(*, smoke: bool) -> list[Figure]:
    runs = 1 if smoke else RUNS
    clones = 1 if smoke else min(CLONES, COPIES_PER_PROCESSOR * usable_processors())
    with installed() as home, contextlib.ExitStack() as cleanup:
        home.banger("vm", "create", "--name", VM, "--memory", "512M", "--vcpu", "1")
        cleanup.callback(lambda: home.banger("vm", "delete", *_names(home)))
        if not smoke:
            settle(home, VM)
            time.sleep(REST_SECONDS)
        home.banger("vm", "snapshot", "create", VM, SNAPSHOT)
        return [
            *_resume(home, runs),
            *_snapshots(home, runs),
            *_forks(home, runs),
            _unique_memory(home, clones),
        ]


def _resume(home: Home, runs: int) -> list[Figure]:
    home.banger("vm", "suspend", VM)
    home.banger("vm", "resume", VM)
    log = home.paths.vm_state(_id(home)) / files.SUPERVISOR_LOG
    commands, agents = [], []
    with contextlib.closing(LoadedByHand(home, VM, _directory(home))) as by_hand:
        for _ in range(runs):
            home.banger("vm", "suspend", VM)
            by_hand.prepare()
            command, floor = seconds(lambda: home.banger("vm", "resume", VM)), seconds(by_hand.boot)
            commands.append((command, floor))
            agents.append((_until_agent(log), floor))
    against = "the same QEMU by hand, -incoming, until its agent answers"
    (agent, floor), (command, _) = medians(agents), medians(commands)
    name, whole = "agent of a resumed VM, 512 MiB", "vm resume, the whole command"
    return [
        Figure(name, "s", agent, floor, against, runs, bar=1.5),
        Figure(whole, "s", command, floor, against, runs),
    ]


def _until_agent(log: Path) -> float:
    """Seconds from the first step of the last start until the guest's agent has answered."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    began = max(i for i, line in enumerate(lines) if line.get("stage") == "disks")
    answered = next(line for line in lines[began:] if line["message"] == AGENT_ANSWERS)
    first, last = (datetime.fromisoformat(line["time"]) for line in (lines[began], answered))
    return (last - first).total_seconds()


def _snapshots(home: Home, runs: int) -> list[Figure]:
    """Of a guest at rest, and what one occupies."""
    pairs, sizes = [], []
    for number in range(runs):
        name = f"s{number}"
        made: dict[str, Any] = {}
        ask = _asking(home, made, "snapshot", "create", VM, name)
        pairs.append((seconds(ask), _copied(_directory(home, name))))
        sizes.append(made["real_bytes"] / MEGA)
        home.banger("vm", "snapshot", "delete", VM, name)
    used = _stats(home, VM)
    whole = (used["memory_bytes"] + used["disk_apparent"]) / MEGA
    measured, floor = (median(values) for values in zip(*pairs, strict=True))
    against = "copies of its files, without their holes"
    return [
        Figure("vm snapshot create, idle, 512 MiB", "s", measured, floor, against, runs, limit=1.0),
        Figure("what it occupies", "MB", median(sizes), whole, "memory and disks, full", runs),
    ]


def _forks(home: Home, runs: int) -> list[Figure]:
    pairs, pauses = [], []
    for number in range(runs):
        forked: dict[str, Any] = {}
        ask = _asking(home, forked, "fork", VM, f"f{number}")
        pairs.append((seconds(ask), _copied(_directory(home))))
        pauses.append(forked["pause_seconds"])
        home.banger("vm", "delete", f"f{number}")
    measured, floor = (median(values) for values in zip(*pairs, strict=True))
    against = "copies of such files, without their holes"
    return [
        Figure("vm fork of a running VM, 512 MiB", "s", measured, floor, against, runs, limit=1.0),
        Figure("pause of that VM", "s", median(pauses), floor, against, runs, limit=0.5),
    ]


def _unique_memory(home: Home, clones: int) -> Figure:
    """Of each copy when it has just answered, with all copies before it still there."""
    found = []
    for number in range(clones):
        home.banger("vm", "fork", f"{VM}/{SNAPSHOT}", f"c{number}")
        found.append(_stats(home, f"c{number}")["unique_memory_bytes"] / MEGA)
    name, used = f"memory of its own, {clones} copies", _stats(home, VM)["guest_memory_bytes"]
    return Figure(name, "MB", median(found), used / MEGA, "a guest of its own", clones, limit=40.0)


def _asking(home: Home, answer: dict[str, Any], *words: str) -> Callable[[], None]:
    return lambda: answer.update(_json(home, *words))


def _json(home: Home, *words: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", *words, "-o", "json").stdout)
    return shown


def _stats(home: Home, name: str) -> dict[str, Any]:
    (used,) = json.loads(home.banger("vm", "stats", name, "-o", "json").stdout)
    assert isinstance(used, dict)
    return used


def _names(home: Home) -> list[str]:
    return home.banger("vm", "list", "-q").stdout.split()


def _id(home: Home) -> str:
    return str(_json(home, "show", VM)["id"])


def _directory(home: Home, snapshot: str = SNAPSHOT) -> Path:
    return home.paths.vm_state(_id(home)) / files.SNAPSHOTS / snapshot


def _copied(snapshot: Path) -> float:
    """Seconds for copies of memory and disks."""
    names = (files.MEMORY, files.DEVICE_STATE, files.OVERLAY, files.WORK_DISK)
    with tempfile.TemporaryDirectory(dir=snapshot.parent.parent) as target:
        return seconds(lambda: [copy_sparse(snapshot / n, Path(target, n)) for n in names])
