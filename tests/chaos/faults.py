"""Faults carried out. Each returns when it is over: what was stopped goes on again, what was
filled or locked is free again."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import EXIT_STATUS, Code
from shared.vm import files
from tests.chaos.attacks import Attacks
from tests.chaos.clients import Clients
from tests.chaos.core import Process
from tests.chaos.observe import processes
from tests.chaos.plan import Fault
from tests.chaos.saves import Saves
from tests.home import Home

REFUSAL_SECONDS = 20.0
HANDLES = (files.HANDLE, files.HANDLE_COPY)


class Faults:
    """``ids``: VM id by name, as it is when a fault is carried out."""

    def __init__(
        self, home: Home, clients: Clients, attacks: Attacks, saves: Saves, seed: int
    ) -> None:
        self._home = home
        self._clients = clients
        self._attacks = attacks
        self._saves = saves
        self._random = random.Random(seed)
        self.ids: dict[str, str] = {}
        self._out_of_reach: set[int] = set()
        """VMMs whose sockets have vanished: no other supervisor can take them over."""

    def carry_out(self, fault: Fault) -> str:
        """Do it; returns a word on what came of it, e.g. that there was nothing to kill."""
        action, _, what = fault.kind.partition(" ")
        if action == "kill":
            return self._signal(what, fault.target, signal.SIGKILL)
        if action == "stop":
            return self._suspend(what, fault)
        special: dict[str, Callable[[Fault], str]] = {
            "truncate handle": lambda f: self._truncate(f.target, self._random.choice(HANDLES)),
            "truncate both handles": lambda f: self._truncate(f.target, *HANDLES),
            "fill disk": self._fill,
            "lock store": self._lock,
            "vanish run": self._vanish,
            "second stack": self._start_second,
            "clients": lambda f: self._clients.run(f.verbs),
            "flood guest": self._attacks.flood,
            "suspend guest": self._saves.suspend,
            "restore guest": self._saves.restore,
            "fork guest": self._saves.fork,
            "drop exec": self._attacks.kill_exec,
            "drop run": self._attacks.kill_run,
        }
        return special[fault.kind](fault)

    # -- processes --------------------------------------------------------------------------

    def _find(self, what: str, target: str) -> list[Process]:
        kind = target if what == "service" else what
        vm = self.ids.get(target, "")
        found = [p for p in processes(self._home) if p.kind == kind]
        return (
            [p for p in found if p.vm == vm] if kind in ("supervisor", "vmm", "master") else found
        )

    def _signal(self, what: str, target: str, number: signal.Signals) -> str:
        found = self._find(what, target)
        if what == "supervisor" and self._out_of_reach & {
            vmm.pid for vmm in self._find("vmm", target)
        }:
            return "left alone: nobody could take its VMM over"
        for process in found:
            _send(process.pid, number)
        return "" if found else "nothing to kill"

    def _suspend(self, what: str, fault: Fault) -> str:
        found = self._find(what, fault.target)
        for process in found:
            _send(process.pid, signal.SIGSTOP)
        time.sleep(fault.seconds if found else 0)
        for process in found:
            _send(process.pid, signal.SIGCONT)
        return "" if found else "nothing to stop"

    # -- files ------------------------------------------------------------------------------

    def _truncate(self, vm: str, *names: str) -> str:
        run = self._home.paths.vm_run(self.ids.get(vm, "none"))
        found = [run / name for name in names if (run / name).exists()]
        for path in found:
            os.truncate(path, self._random.choice((0, 1, 20)))
        return "" if found else "no handle"

    def _vanish(self, _fault: Fault) -> str:
        """The run directory is gone, as at a log-out or by a cleaner of /tmp."""
        self._out_of_reach = {each.pid for each in processes(self._home) if each.kind == "vmm"}
        shutil.rmtree(self._home.paths.run, ignore_errors=True)
        return f"{len(self._out_of_reach)} VMMs"

    def _start_second(self, _fault: Fault) -> str:
        """A launcher with another run directory, as by hand; it has to be refused."""
        other = self._home.environment | {"BANGER_RUN_DIR": str(self._home.root / "second")}
        argv = [sys.executable, "-I", "-m", "banger", "services.launcher"]
        with subprocess.Popen(argv, env=other, cwd="/", stderr=subprocess.DEVNULL) as second:
            try:
                status = second.wait(REFUSAL_SECONDS)
            except subprocess.TimeoutExpired:
                second.terminate()
                status = None
        if status != EXIT_STATUS[Code.CONFLICT]:
            self._clients.violations.append(f"a second stack was not refused: status {status}")
        return "refused"

    def _fill(self, fault: Fault) -> str:
        """Leave not a byte on the state's file system, for a while."""
        ballast = self._home.paths.state / "ballast"
        try:
            _fill_up(ballast)
            time.sleep(fault.seconds)
        finally:
            ballast.unlink(missing_ok=True)
        return ""

    def _lock(self, fault: Fault) -> str:
        connection = sqlite3.connect(self._home.paths.database, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(fault.seconds)
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return f"not locked: {error}"
        finally:
            connection.close()
        return ""


def _fill_up(path: Path) -> None:
    """In ever smaller pieces: the guests write too, so what is free is not known for long."""
    size, piece = 0, 1 << 28
    with path.open("wb") as file:
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), size, piece)
                size += piece
            except OSError:
                piece //= 2


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # quicker than we
