"""What comes from beside the services: a guest that floods its host, and clients that are killed.

Each leaves a mark of what must be gone, or must be the same, once the system has settled.
"""

import random
import select
import signal
import subprocess
from pathlib import Path

from tests.chaos.core import Process
from tests.chaos.observe import processes
from tests.chaos.plan import Fault
from tests.e2e.arena import PROGRAM
from tests.home import Home

FLOOD_SECONDS = 3
CONSOLE_KIB = 128
LOG_BYTES = 9 << 20
"""The last 8 MiB of a console, and what has not been freed yet."""
START_SECONDS = {"exec": 20.0, "run": 60.0}
"""Until a client's command runs in the guest; a system that is hurt just then takes longer."""
SUPERVISOR_ENDS = frozenset({"kill supervisor", "stop supervisor", "kill vmm", "clients"})
"""Faults of the same step after which a VM may have another supervisor."""


class Attacks:
    """``real``: whether a session runs in a guest. A scripted one runs on this machine, where
    nothing is to be flooded. ``ids``: VM id by name, as it is when an attack is made."""

    def __init__(self, home: Home, seed: int, *, real: bool) -> None:
        self._home = home
        self._real = real
        self._random = random.Random(seed)
        self._marks: dict[str, str] = {}
        """What the command of a killed ``vm exec`` sleeps for, and its VM."""
        self._supervisors: dict[str, int] = {}
        """Of the VMs whose guests have flooded, each as it was before."""
        self.doomed: set[str] = set()
        """VMs of killed ``vm run --rm``."""
        self.ids: dict[str, str] = {}

    # -- what is done -----------------------------------------------------------------------

    def flood(self, fault: Fault) -> str:
        """Sockets, console, ARP and questions to the resolver, all at once, for some seconds."""
        if not self._real:
            return "a scripted guest floods nobody"
        before = [p.pid for p in self._supervisors_of(fault.target)]
        acts = (
            f"sockets {FLOOD_SECONDS}",
            f"network {FLOOD_SECONDS} 10.0.2.2 eth0",
            f"console {CONSOLE_KIB}",
        )
        script = "cat >/run/flood.pl; " + "; ".join(f"perl /run/flood.pl {act}" for act in acts)
        argv = ("vm", "exec", fault.target, "--", "sh", "-c", script)
        try:
            done = self._home.banger(*argv, stdin=PROGRAM.read_bytes(), check=False, timeout=60)
        except subprocess.TimeoutExpired:
            return "no end of it"
        if len(before) == 1:
            self._supervisors[fault.target] = before[0]
        return "" if done.returncode == 0 else "not begun"

    def kill_exec(self, fault: Fault) -> str:
        """SIGKILL for a ``vm exec`` whose command runs."""
        mark = f"{self._random.randrange(10**8, 10**9)}"
        words = ("vm", "exec", fault.target, "--", "sh", "-c", f"echo ready; exec sleep {mark}")
        if not self._kill_when_ready("exec", *words):
            return "not begun"
        self._marks[mark] = fault.target
        return ""

    def kill_run(self, _fault: Fault) -> str:
        """SIGKILL for a ``vm run --rm`` whose command runs."""
        name = f"dropped-{self._random.randrange(10**6)}"
        words = ("vm", "run", "--rm", "--name", name, "--", "sh", "-c", "echo ready; sleep 86400")
        if not self._kill_when_ready("run", *words):
            return "not begun"
        self.doomed.add(name)
        return ""

    def _kill_when_ready(self, verb: str, *words: str) -> bool:
        with self._home.start(*words) as client:
            assert client.stdout
            ready, _, _ = select.select([client.stdout], [], [], START_SECONDS[verb])
            begun = bool(ready) and client.stdout.readline() == b"ready\n"
            client.send_signal(signal.SIGKILL if begun else signal.SIGTERM)
        return begun

    # -- what must hold after it ------------------------------------------------------------

    def left(self, names: set[str], faults: list[Fault]) -> list[str]:
        """What is against the rules now. ``names``: of all VMs; ``faults``: of this step."""
        found = [f"{name}: its client was killed, and it is there still" for name in
                 sorted(self.doomed & names)]  # fmt: skip
        found += [
            f"{vm}: the command of a killed client runs on (sleep {mark})"
            for mark, vm in self._marks.items()
            if self._runs(mark, vm)
        ]
        found += replaced(self._supervisors, self._now(), faults)
        return found + self._large()

    def forget(self) -> None:
        """The next step begins."""
        self.doomed.clear()
        self._marks.clear()
        self._supervisors.clear()

    def _runs(self, mark: str, vm: str) -> bool:
        """Whether a process sleeps for ``mark``. A guest that cannot be asked is no proof."""
        if not self._real:
            return any(f"sleep {mark}" in line for line in self._home.processes().values())
        look = f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c '[s]leep {mark}'"
        argv = ("vm", "exec", vm, "--", "sh", "-c", look)
        return self._home.banger(*argv, check=False, timeout=60).stdout.strip() not in ("", "0")

    def _now(self) -> dict[str, list[int]]:
        return {vm: [p.pid for p in self._supervisors_of(vm)] for vm in self._supervisors}

    def _supervisors_of(self, vm: str) -> list[Process]:
        wanted = self.ids.get(vm, "none")
        return [p for p in processes(self._home) if (p.kind, p.vm) == ("supervisor", wanted)]

    def _large(self) -> list[str]:
        logs = (self._home.paths.state / "vms").glob("*/*.log")
        return [f"{path} takes {size} bytes" for path in logs if (size := _kept(path)) > LOG_BYTES]


def replaced(before: dict[str, int], now: dict[str, list[int]], faults: list[Fault]) -> list[str]:
    """The VMs whose supervisor is another one though nothing in ``faults`` had a right to end it.
    Pure."""
    kinds = {fault.kind for fault in faults}
    return [
        f"{vm}: a flood of its guest ended its supervisor {pid}; now {now.get(vm)}"
        for vm, pid in before.items()
        if pid not in now.get(vm, []) and not kinds & SUPERVISOR_ENDS
    ]


def _kept(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:  # its VM is being deleted
        return 0
