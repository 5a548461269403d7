"""A guest is suspended, brought back to a snapshot, or forked, while other faults happen.

What was marked in memory and on the disk is compared afterwards: a guest has both marks of the
moment that it was brought back to, or both of later; never the memory of one and the disk of the
other.
"""

import random
import subprocess
import time
from dataclasses import dataclass

from tests.chaos.clients import Clients
from tests.chaos.plan import Fault
from tests.home import Home

IN_MEMORY, ON_DISK = "/run/mark", "/root/mark"
_MARK = f"echo $0 >{IN_MEMORY} && echo $0 >{ON_DISK} && sync {ON_DISK}"
_READ = f"cat {IN_MEMORY} 2>/dev/null || echo none; cat {ON_DISK}"
NO_MEMORY = "none"
"""The guest was booted again since, which others had a right to do."""
ASK_SECONDS = 60.0


@dataclass(frozen=True)
class Expected:
    """The marks that a guest may have, in memory and on its disk the same one."""

    vm: str
    marks: frozenset[str]


class Saves:
    """``real``: whether a guest has a memory and a disk that can be marked."""

    def __init__(self, home: Home, clients: Clients, seed: int, *, real: bool) -> None:
        self._home = home
        self._clients = clients
        self._real = real
        self._random = random.Random(seed)
        self._number = 0
        self._expected: list[Expected] = []

    # -- what is done -----------------------------------------------------------------------

    def suspend(self, fault: Fault) -> str:
        """To disk and back after a moment."""
        suspended = self._clients.ask("suspend", fault.target)
        time.sleep(self._random.uniform(0.0, 1.0))
        resumed = self._clients.ask("resume", fault.target)
        return f"{suspended.outcome}, {resumed.outcome}"

    def restore(self, fault: Fault) -> str:
        """A snapshot, something else, and back."""
        vm, name = fault.target, self._name("s")
        marks = f"{name}-before", f"{name}-after"
        marked = self._mark(vm, marks[0])
        created = self._clients.ask("snapshot", vm, name)
        marked = self._mark(vm, marks[1]) and marked
        restored = self._clients.ask("restore", vm, name)
        if created.outcome == "0":
            self._clients.ask("forget", vm, name)
        if marked and self._real:
            done = restored.outcome == "0"
            self._expected.append(Expected(vm, frozenset(marks[:1] if done else marks)))
        return f"{created.outcome}, {restored.outcome}"

    def fork(self, fault: Fault) -> str:
        """A copy that answers is another machine; it is deleted."""
        name = self._name("copy-")
        self._clients.created.add(name)
        forked = self._clients.ask("fork", fault.target, name)
        if forked.outcome == "0" and self._real:
            hostname = self._run(name, "hostname")
            if hostname not in (None, name):
                self._clients.violations.append(f"{name}, a copy, calls itself {hostname}")
        deleted = self._clients.ask("delete", name)
        return f"{forked.outcome}, {deleted.outcome}"

    def _name(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"

    def _mark(self, vm: str, mark: str) -> bool:
        return self._real and self._run(vm, _MARK, mark) is not None

    def _run(self, vm: str, script: str, *words: str) -> str | None:
        """What a command in the guest says; None when it could not be run."""
        return self._ask("vm", "exec", vm, "--", "sh", "-c", script, *words)

    def _ask(self, *argv: str) -> str | None:
        try:
            done = self._home.banger(*argv, check=False, timeout=ASK_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # -- what must hold after it ------------------------------------------------------------

    def left(self) -> list[str]:
        """What is against the rules, once the system has settled."""
        found = []
        for expected in self._expected:
            said = self._run(expected.vm, _READ)
            if said is not None:  # a guest that says nothing is told by others
                found += mixed(expected, *said.split()[:2])
        self._expected.clear()
        return found

    def forget_snapshots(self) -> None:
        """Those that could not be deleted when their time was over."""
        for each in (self._ask("vm", "snapshot", "list", "-q") or "").split():
            self._ask("vm", "snapshot", "delete", each)


def mixed(expected: Expected, in_memory: str = "", on_disk: str = "") -> list[str]:
    """What is wrong with the marks of a guest. Pure."""
    if in_memory == NO_MEMORY:
        return []
    if in_memory != on_disk:
        return [f"{expected.vm} has the memory of {in_memory} and the disk of {on_disk}"]
    if in_memory not in expected.marks:
        return [f"{expected.vm} is at {in_memory}, not at {' or '.join(sorted(expected.marks))}"]
    return []
