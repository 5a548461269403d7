"""What must hold of a settled system. Pure: observations in, contradictions out.

``contradictions`` compares all sources with each other at one moment; while the system mends
itself some are there for a moment, so the caller asks again until there are none or its patience
is at an end. ``continuity`` compares one guest with itself before a fault.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

SERVICES = ("launcher", "broker", "store", "images", "workspaces", "api", "nat", "dns")
RUNNING = frozenset({"running", "paused"})
SETTLED = RUNNING | {"created", "stopped", "failed", "suspended"}
MEMORY, HALF = "memory", "half"
"""What of saves a VM may have on disk: its own memory, and what was begun and not published."""

Kind = Literal[
    "launcher", "broker", "store", "images", "workspaces", "api", "nat", "dns",
    "supervisor", "spare", "vmm", "master", "other",
]  # fmt: skip


@dataclass(frozen=True)
class Process:
    """A process of the home; ``vm`` is empty for those that belong to no VM."""

    pid: int
    kind: Kind
    vm: str = ""
    line: str = ""


@dataclass(frozen=True)
class Row:
    """A VM as the database has it."""

    id: str
    name: str
    state: str
    address: str


@dataclass(frozen=True)
class Listed:
    """A VM as ``vm list -o json`` tells it."""

    id: str
    name: str
    state: str
    pid: int | None


@dataclass(frozen=True)
class Handle:
    """What a VM's handle file names as its VMM."""

    pid: int
    alive: bool


@dataclass(frozen=True)
class Observed:
    """All sources at one moment. ``names``: what dns answered to each name that was asked for."""

    rows: tuple[Row, ...] = ()
    listed: tuple[Listed, ...] = ()
    processes: tuple[Process, ...] = ()
    handles: Mapping[str, Handle] | None = None
    directories: frozenset[str] = frozenset()
    saved: Mapping[str, frozenset[str]] | None = None
    """By VM: ``MEMORY`` and ``HALF`` where there are such."""
    names: Mapping[str, str | None] | None = None
    complaints: tuple[str, ...] = ()
    """Sources that could not be asked, and why."""


def contradictions(seen: Observed) -> list[str]:
    """Everything that cannot be so in a settled system; empty when all is well."""
    found = list(seen.complaints)
    found += _services(seen.processes)
    found += _leaks(seen)
    found += _listing(seen)
    for row in seen.rows:
        found += _machine(row, seen)
    found += _names(seen)
    return found


def _services(processes: Iterable[Process]) -> list[str]:
    count: Counter[str] = Counter(process.kind for process in processes)
    found = [f"{count[name]} processes of {name}" for name in SERVICES if count[name] != 1]
    if count["spare"] > 1:
        found.append(f"{count['spare']} spare supervisors")
    others = [process for process in processes if process.kind == "other"]
    return found + [f"process {other.pid} is of no use: {other.line}" for other in others]


def _leaks(seen: Observed) -> list[str]:
    known = {row.id for row in seen.rows}
    found = [
        f"{process.kind} {process.pid} of {process.vm}, a VM that does not exist"
        for process in seen.processes
        if process.vm and process.vm not in known
    ]
    unknown = sorted(seen.directories - known)
    return found + [f"files of {vm}, a VM that does not exist" for vm in unknown]


def _listing(seen: Observed) -> list[str]:
    rows = {row.id: (row.name, row.state) for row in seen.rows}
    listed = {vm.id: (vm.name, vm.state) for vm in seen.listed}
    return [
        f"{vm}: the database says {rows.get(vm)}, vm list says {listed.get(vm)}"
        for vm in sorted(rows.keys() | listed.keys())
        if rows.get(vm) != listed.get(vm)
    ]


def _machine(row: Row, seen: Observed) -> list[str]:
    of_vm = [process for process in seen.processes if process.vm == row.id]
    pids = {kind: [p.pid for p in of_vm if p.kind == kind] for kind in ("vmm", "supervisor")}
    if row.state not in SETTLED:
        return [f"{row.name} is {row.state} still"]
    found = _saved(row, (seen.saved or {}).get(row.id, frozenset()))
    if row.state not in RUNNING:
        return found + [f"{row.name} is {row.state}, but has {p.kind} {p.pid}" for p in of_vm]
    found += [
        f"{row.name} is {row.state} and has {kind} {pids[kind]}"
        for kind in pids
        if len(pids[kind]) != 1
    ]
    handle = (seen.handles or {}).get(row.id)
    if handle is None or not handle.alive or [handle.pid] != pids["vmm"]:
        found.append(f"{row.name}: handle {handle}, VMM {pids['vmm']}")
    shown = [vm.pid for vm in seen.listed if vm.id == row.id]
    if shown != pids["vmm"]:
        found.append(f"{row.name}: vm list says pid {shown}, VMM {pids['vmm']}")
    return found


def _saved(row: Row, saved: frozenset[str]) -> list[str]:
    """What was broken off is removed by the next supervisor, so a VM that runs has nothing left of
    it; and the memory that a guest went on from is gone, since its disks are not."""
    found = []
    if row.state in RUNNING and saved:
        found.append(f"{row.name} is {row.state} and has {' and '.join(sorted(saved))} of a save")
    if (row.state == "suspended") != (MEMORY in saved) and row.state not in RUNNING:
        found.append(f"{row.name} is {row.state}, and on disk there is {sorted(saved)}")
    return found


def _names(seen: Observed) -> list[str]:
    wanted = {row.name: row.address for row in seen.rows if row.state in RUNNING}
    return [
        f"dns answers {answer} for {name}, which is {wanted.get(name)}"
        for name, answer in (seen.names or {}).items()
        if answer != wanted.get(name)
    ]


@dataclass(frozen=True)
class Guest:
    """What a guest says of itself: its boot, the last number it has synced, and how many whole,
    gapless lines its file has."""

    pid: int
    boot_id: str
    synced: int
    lines: int


def continuity(
    name: str, before: Guest, now: Guest, *, same_boot: bool, moved: bool = False,
    rewound: bool = False,
) -> list[str]:  # fmt: skip
    """What ``name`` has lost since ``before``; ``same_boot``: nobody had a right to end it.
    ``moved``: it may be in another VMM. ``rewound``: it may be what it was a moment ago."""
    found: list[str] = []
    if now.lines < before.synced and not rewound:
        found.append(f"{name}: {before.synced} lines were synced, {now.lines} are there")
    if not same_boot:
        return found
    if now.pid != before.pid and not moved:
        found.append(f"{name}: its VMM was {before.pid} and is {now.pid}")
    if now.boot_id != before.boot_id:
        found.append(f"{name}: it was booted again, nobody asked for it")
    if now.synced < before.synced and not rewound:
        found.append(f"{name}: its counter went from {before.synced} back to {now.synced}")
    return found
