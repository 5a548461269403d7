"""Many VMs at once: guests that run, rows that do not, one command for several."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from typing import NamedTuple

from benchmarks.harness.measure import Figure, median, medians, paired, seconds
from benchmarks.harness.memory import idle_interpreter, proportional_set_size
from benchmarks.harness.product import installed, settle
from shared.bus.client import Client
from shared.contract.verbs import daemon
from shared.host.locks import holder
from shared.vm import files
from tests.home import Home
from tests.waiting import eventually


class Size(NamedTuple):
    guests: int
    """VMs that run. The first is stopped alone, the next ``at_once`` by one command."""
    at_once: int
    rows: int
    """VMs that were never started."""
    adoptions: int
    listings: int


FULL = Size(guests=21, at_once=10, rows=89, adoptions=5, listings=15)
SMOKE = Size(guests=2, at_once=1, rows=1, adoptions=1, listings=1)


def figures(*, smoke: bool) -> list[Figure]:
    size = SMOKE if smoke else FULL
    guests = [f"guest-{number}" for number in range(size.guests)]
    with installed() as home:
        try:
            for name in guests:
                home.banger("vm", "create", "--name", name, "--memory", "256M", "--vcpu", "1")
            if not smoke:
                settle(home, *guests)
            return [
                _memory(home, guests),
                _adoption(home, guests[0], size.adoptions),
                _stops(home, guests[: 1 + size.at_once]),
                _listing(home, size),
            ]
        finally:
            home.banger("vm", "delete", *home.banger("vm", "list", "-q").stdout.split())


def _supervisor(home: Home, name: str) -> tuple[str, int]:
    """The id of the VM and the pid of its supervisor."""
    vm_id = json.loads(home.banger("vm", "show", name, "-o", "json").stdout)["id"]
    pid = holder(home.paths.vm_state(vm_id) / files.LOCK)
    assert pid, f"{name} has no supervisor"
    return vm_id, pid


def _memory(home: Home, guests: list[str]) -> Figure:
    pids = [_supervisor(home, name)[1] for name in guests]
    with idle_interpreter() as idle:
        measured, floor = median([*map(proportional_set_size, pids)]), proportional_set_size(idle)
    name = f"supervisor of one of {len(guests)} VMs, PSS"
    return Figure(name, "MB", measured, floor, "an idle asyncio", len(pids), limit=20.0)


def _adoption(home: Home, name: str, runs: int) -> Figure:
    pairs = []
    for _ in range(runs):
        vm_id, pid = _supervisor(home, name)
        pairs.append((seconds(partial(_replace, home, vm_id, pid)), seconds(_import_supervisor)))
    measured, floor = medians(pairs)
    name, against = "supervisor kill -9 to taken over", "the import of a supervisor"
    return Figure(name, "s", measured, floor, against, runs, limit=1.0)


def _replace(home: Home, vm_id: str, pid: int) -> None:
    """Kill a supervisor; return when another has taken the VMM over and serves the VM."""
    os.kill(pid, signal.SIGKILL)
    with Client(home.paths.broker_socket) as client:

        def served_by_another() -> bool:
            services = client.ask(daemon.SERVICES()).services
            pids = [each.pid for each in services if each.name == f"vm:{vm_id}"]
            return pids not in ([], [pid])

        eventually(served_by_another, every=0.005)


def _import_supervisor() -> None:
    command = "import services.vm_supervisor.__main__"
    subprocess.run([sys.executable, "-c", command], check=True)


def _stops(home: Home, guests: list[str]) -> Figure:
    one = seconds(lambda: home.banger("vm", "stop", guests[0]))
    several = seconds(lambda: home.banger("vm", "stop", *guests[1:]))
    name = f"vm stop of {len(guests) - 1}"
    return Figure(name, "s", several, one, "vm stop of one", 1, bar=2.0)


def _listing(home: Home, size: Size) -> Figure:
    for number in range(size.rows):
        home.banger("vm", "create", "--no-start", "--name", f"row-{number}")
    command = ("vm", "list", "-o", "json")
    with installed() as empty:
        measured, none = paired(
            lambda: home.banger(*command),
            lambda: empty.banger(*command),
            runs=size.listings,
            warm_up=1,
        )
    stopped = size.rows + 1 + size.at_once
    name = f"vm list, {stopped} stopped and {size.guests - 1 - size.at_once} running"
    return Figure(name, "s", measured, none, "vm list with none", size.listings, bar=1.5)
