"""The work that guests do: a loop that appends numbered lines to a file and syncs each."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

from tests.chaos.core import Guest, Observed, continuity
from tests.home import Home
from tests.waiting import Deadline

ANSWER_SECONDS = 30.0
"""How long a guest of a settled system may take until it says how it is."""
FILE = "/root/lines"
SYNCED = "/run/synced"
LOOP = (
    f"n=$(cat {FILE} 2>/dev/null | wc -l); while :; do n=$((n+1)); echo $n >> {FILE} && "
    f"sync {FILE} && echo $n > {SYNCED}; sleep 1; done"
)
START = f"setsid sh -c '{LOOP}' </dev/null >/dev/null 2>&1 & "
"""Detached: it must outlive every session, and the ssh that started it."""
ASK = (
    f"touch {FILE}; cat /proc/sys/kernel/random/boot_id; cat " + SYNCED + " 2>/dev/null || echo 0; "
    f"awk '$1 == NR {{ n = NR }} $1 != NR {{ exit }} END {{ print n + 0 }}' {FILE}"
)


@dataclass(frozen=True)
class Rights:
    """What may have become of which VMs: ended, gone on in another VMM, brought back."""

    disturbed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    rewound: set[str] = field(default_factory=set)


@dataclass
class Guests:
    """The VMs by name, each as it last was; None for one that was not asked since it was ended."""

    home: Home
    last: dict[str, Guest | None]
    synced: dict[str, Guest]

    @classmethod
    def of(cls, home: Home, names: tuple[str, ...]) -> Self:
        return cls(home, dict.fromkeys(names), {})

    def start_work(self, name: str) -> None:
        self.home.banger("vm", "exec", name, "--", "sh", "-c", START)

    def ask(self, name: str, pid: int) -> Guest:
        """What the guest says of itself. Raises TimeoutError when it says nothing."""
        deadline = Deadline(ANSWER_SECONDS)
        while True:
            left = max(1.0, deadline.left())
            done = self.home.banger(
                "vm", "exec", name, "--", "sh", "-c", ASK, check=False, timeout=left + 15
            )
            words = done.stdout.split()
            if done.returncode == 0 and len(words) == 3:
                return Guest(pid, words[0], int(words[1]), int(words[2]))
            if deadline.is_over:
                raise TimeoutError(done.stderr.strip())
            time.sleep(0.2)

    def check(self, seen: Observed, faults: Rights, asked: set[str]) -> list[str]:
        """Every VM must run as it did, but for what ``faults`` had a right to do; those in
        ``asked`` are asked themselves, for the others the same VMM is the same boot (QEMU has
        -no-reboot)."""
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(
                lambda name: self._check(
                    name, seen, faults, ask=name in asked | faults.disturbed | faults.moved
                ),
                self.last,
            )
            return [problem for problems in found for problem in problems]

    def _check(self, name: str, seen: Observed, faults: Rights, *, ask: bool) -> list[str]:
        disturbed, moved = name in faults.disturbed, name in faults.moved
        row = next((row for row in seen.rows if row.name == name), None)
        if row is None:
            return [f"{name}: the VM is gone"]
        if row.state != "running":
            if disturbed or row.state != "suspended":
                self.last[name] = None  # else it is the same boot that goes on later
            allowed = disturbed or (moved and row.state == "suspended")
            return [] if allowed else [f"{name} is {row.state}, nobody asked for it"]
        pid = next(vm.pid or 0 for vm in seen.listed if vm.id == row.id)
        before, last = self.synced.get(name), self.last[name]
        if before and last and not ask:
            now = replace(last, pid=pid)
            return continuity(name, before, now, same_boot=True)
        try:
            now = self.ask(name, pid)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            return [f"{name} says nothing: {error}"]
        same_boot = not disturbed and last is not None
        if not same_boot and (before is None or now.boot_id != before.boot_id):
            self.start_work(name)
        self.last[name] = self.synced[name] = now
        if before is None:
            return []
        rewound = name in faults.rewound
        return continuity(name, before, now, same_boot=same_boot, moved=moved, rewound=rewound)


class IdleGuests(Guests):
    """Scripted guests have no shell: their boot is all that there is to lose."""

    def start_work(self, name: str) -> None:
        return

    def ask(self, name: str, pid: int) -> Guest:
        shown = json.loads(self.home.banger("vm", "show", name, "-o", "json").stdout)
        return Guest(pid, shown["boot_id"], 0, 0)
