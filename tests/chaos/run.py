"""One run: four guests at work, faults from the seed, and the whole truth after each step."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.attacks import Attacks
from tests.chaos.clients import Clients
from tests.chaos.core import Observed
from tests.chaos.faults import Faults
from tests.chaos.guests import Guests, IdleGuests, Rights
from tests.chaos.observe import directories, observe, processes
from tests.chaos.plan import Fault, Plan, disturbed, moved, rewound
from tests.chaos.report import Report
from tests.chaos.saves import Saves
from tests.chaos.settle import SETTLE_SECONDS, settle
from tests.home import Home
from tests.waiting import last_answer

CONFIG = """\
network = "user"
accel = "tcg"
[defaults]
vcpu = 1
memory_mib = 256
disk = "1G"
overlay = "1G"
[dns]
port = {port}
"""
GONE = "3"
"""The exit status of ``not_found``."""


@dataclass(frozen=True)
class Bounds:
    """A run ends at the first of them."""

    seconds: float
    faults: int


class Run:
    def __init__(
        self, home: Home, dns_port: int, seed: int, vms: int, guests: type[Guests] = Guests
    ) -> None:
        self.report = Report(seed, vms)
        self._home = home
        self._port = dns_port
        self._names = tuple(f"work-{number}" for number in range(vms))
        self._clients = Clients(home)
        self._guests = guests.of(home, self._names)
        real = not issubclass(guests, IdleGuests)
        self._attacks = Attacks(home, seed, real=real)
        self._saves = Saves(home, self._clients, seed, real=real)
        self._faults = Faults(home, self._clients, self._attacks, self._saves, seed)
        self._plan = Plan(seed, self._names)
        self._started = time.monotonic()

    def run(self, bounds: Bounds) -> Report:
        """Faults until a bound or the first violation, then a clean end."""
        self._say(f"seed {self.report.seed}: creating {len(self._names)} VMs")
        with ThreadPoolExecutor(len(self._names)) as threads:
            list(threads.map(lambda n: self._home.banger("vm", "create", "--name", n), self._names))
        self._after([])
        begun = time.monotonic()
        while not self.report.violations and time.monotonic() - begun < bounds.seconds:
            if self.report.faults.total() >= bounds.faults:
                break
            self._step()
        self.report.seconds = time.monotonic() - begun
        self.report.lines = sum(guest.synced for guest in self._guests.synced.values())
        self._end()
        return self.report

    def _step(self) -> None:
        faults = self._plan.step()
        with ThreadPoolExecutor(len(faults)) as threads:
            outcomes = list(threads.map(self._faults.carry_out, faults))
        for fault, outcome in zip(faults, outcomes, strict=True):
            self.report.faults[fault.kind] += 1
            number = self.report.faults.total()
            self._say(f"{number:4} {fault}{f' ({outcome})' if outcome else ''}")
        self._after(faults)

    def _after(self, faults: list[Fault]) -> None:
        """Let it settle, hold everything against everything, and mend what a fault had ended."""
        seen, found, seconds = settle(self._look)
        self._violate(found)
        self._violate(self._left_of_attacks(faults))
        self._note_adoption(faults, seconds)
        self.report.settle_seconds.append(seconds)
        paused = [r.name for r in seen.rows if r.state == "paused" and r.name in self._names]
        for name in paused:
            self._clients.ask("resume", name)
        self._remove_extras(seen)
        if paused:
            seen, found, _ = settle(self._look)
            self._violate(found)
        rights = Rights(disturbed(faults), moved(faults), rewound(faults))
        self._violate(self._guests.check(seen, rights, self._to_ask(faults)))
        self._start_again(seen)
        self._violate(self._saves.left())
        self._saves.forget_snapshots()
        self._violate(self._clients.violations)
        self._clients.violations.clear()
        self._say(f"     settled after {seconds:.1f} s")

    def _left_of_attacks(self, faults: list[Fault]) -> list[str]:
        """What attacks have left, once there was time to remove it."""

        def clean() -> bool:
            names = {row.name for row in self._look().rows} if self._attacks.doomed else set()
            left[:] = self._attacks.left(names, faults)
            return not left

        left: list[str] = []
        last_answer(clean, patience=SETTLE_SECONDS, every=0.5)
        self._clients.created |= self._attacks.doomed
        self._attacks.forget()
        return left

    def _to_ask(self, faults: list[Fault]) -> set[str]:
        """The VMs that a fault was aimed at and one in turn; after a full disk all of them."""
        if not faults or any(fault.kind == "fill disk" for fault in faults):
            return set(self._names)
        in_turn = self._names[len(self.report.settle_seconds) % len(self._names)]
        return {in_turn, *(fault.target for fault in faults)}

    def _look(self) -> Observed:
        return observe(self._home, self._port, self._clients.created)

    def _note_adoption(self, faults: list[Fault], seconds: float) -> None:
        """A supervisor killed and nothing else: the time to settle is that to take over."""
        if [fault.kind for fault in faults] == ["kill supervisor"]:
            self.report.adopt_seconds.append(seconds)

    def _remove_extras(self, seen: Observed) -> None:
        """VMs whose creation or deletion had no success are listed; so they can be deleted. The VM
        of a killed client may be gone since it was seen."""
        for row in seen.rows:
            if row.name not in self._names:
                answer = self._clients.ask("delete", row.name)
                if answer.outcome not in ("0", GONE):
                    self._violate([f"{row.name} cannot be deleted: {answer.words}"])

    def _start_again(self, seen: Observed) -> None:
        self._faults.ids = self._attacks.ids = {row.name: row.id for row in seen.rows}
        down = [r.name for r in seen.rows if r.state != "running" and r.name in self._names]
        aside = {r.name for r in seen.rows if r.state == "suspended"}
        rights = Rights(set(down) - aside, aside)
        for name in down:
            answer = self._clients.ask("start", name)
            if answer.outcome != "0":
                self._violate([f"{name} cannot be started: {answer.words}"])
        if down and not self.report.violations:
            seen, found, _ = settle(self._look)
            self._violate([*found, *self._guests.check(seen, rights, set())])

    # -- the end ----------------------------------------------------------------------------

    def _end(self) -> None:
        """Everything is deleted; then nothing may be left at all."""
        self.report.answers = self._clients.answers
        if self.report.violations:
            return  # left as it is, for whoever looks into it: ``close`` ends the processes
        self._home.banger("vm", "delete", *self._names, check=False)
        self._home.banger("daemon", "stop", check=False)
        last_answer(lambda: not processes(self._home), patience=10)
        self._violate([f"left: {process}" for process in processes(self._home)])
        self._violate([f"left: files of {vm}" for vm in directories(self._home.paths)])

    def _violate(self, found: list[str]) -> None:
        for problem in found:
            self._say(f"VIOLATION {problem}")
        self.report.violations += found

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._started:7.1f}  {words}", flush=True)


def free_port() -> int:
    """A UDP port on loopback that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
