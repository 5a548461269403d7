"""The launcher's input and output: it starts the services of the procfile, and again when they end.

The launcher is on the bus itself (service ``launcher``), so that ``banger daemon`` can ask it. Its
services hold the read end of a pipe: when the launcher is killed, they stop, and the next command
starts a new launcher.
"""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

from services.launcher.core import (
    ManagedService,
    ServiceTable,
    own_interpreter,
    parse_procfile,
)
from shared.bus.actor import Actor
from shared.bus.background import keep_running
from shared.bus.handlers import Call, handles
from shared.contract.messages.operation import DaemonStatus
from shared.contract.messages.vm import Empty
from shared.contract.verbs import api, daemon
from shared.errors import BangerError, Code
from shared.host import parent_pipe
from shared.host.locks import Lock
from shared.host.programs import chosen_environment
from shared.log_limit import LogLimit
from shared.logs import Log
from shared.paths import Paths, make_private
from shared.version import __version__

STOP_SECONDS = 5.0
"""Seconds between SIGTERM and SIGKILL for a service that does not end."""

KEPT_SECONDS = 5.0
"""What the api may take to delete the VMs that no user has made."""

LOOK_SECONDS = 0.5
"""Between two looks whether the run directory is there."""

STDERR_SECONDS = 30.0
"""Between looks at what the services wrote to stderr."""

NOT_FOUND = 127
"""The exit status of a shell for a program that does not exist."""


class Launcher(Actor):
    """Runs the procfile. One per state directory, by lock."""

    def __init__(
        self, paths: Paths, log: Log, procfile: Path, external: frozenset[str] = frozenset()
    ) -> None:
        """``external``: names in the procfile that this launcher does not start."""
        lock = Lock.try_acquire(paths.lock("launcher"))
        if lock is None:
            raise BangerError(
                Code.CONFLICT,
                f"a launcher already serves {paths.run}",
                hint="banger daemon status shows it",
            )
        self._lock = lock
        commands = parse_procfile(procfile.read_text())
        self._table = ServiceTable(
            {name: argv for name, argv in commands.items() if name not in external}
        )
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._changed = asyncio.Event()
        self._read_end, self._write_end = parent_pipe.create()
        super().__init__("launcher", paths, log)

    async def on_start(self) -> None:
        self._table.start_all(time.monotonic())
        self.background.spawn(self._run_starts())
        self.background.spawn(self._keep_run_directory())
        self.background.spawn(keep_running("stderr", self._limit_stderr, self.log))

    async def _limit_stderr(self) -> None:
        """Keep the services' stderr bounded on the disk."""
        limit = LogLimit()
        while True:
            for problem in limit.apply(self.paths.logs.glob("*.err")):
                self.log.warning(problem)
            await asyncio.sleep(STDERR_SECONDS)

    async def _run_starts(self) -> None:
        while True:
            for service in self._table.due(time.monotonic()):
                await self._launch(service)
            self._changed.clear()
            next_start = self._table.next_start()
            wait = None if next_start is None else max(0.0, next_start - time.monotonic())
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    async def _keep_run_directory(self) -> None:
        """Make the run directory again when it has vanished, such as at a log-out. The broker then
        makes its sockets anew. Without a run directory no command finds the services: they stop.
        """
        while not self.stopping.is_set():
            try:
                if not self.paths.run.is_dir():
                    make_private(self.paths.run)
            except (BangerError, OSError) as error:
                self.log.error("no run directory any more: the services stop", error=str(error))
                self.stopping.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _launch(self, service: ManagedService) -> None:
        argv = own_interpreter(service.argv)
        errors = self.paths.logs / f"{service.name}.err"
        try:
            process = await self._spawn(argv, errors)
        except OSError as error:
            self.log.error("service not started", name=service.name, error=str(error))
            self._table.on_exit(service.name, NOT_FOUND, time.monotonic(), random.random())
            return
        self._processes[service.name] = process
        self._table.on_started(service.name, process.pid)
        self.log.info("service started", name=service.name, of=process.pid)
        self.background.spawn(self._wait_for(service.name, process))

    async def _spawn(self, argv: list[str], errors: Path) -> asyncio.subprocess.Process:
        with errors.open("ab") as stderr:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(self._read_end,),
                env=chosen_environment() | {parent_pipe.VARIABLE: str(self._read_end)},
            )

    async def _wait_for(self, name: str, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        self._table.on_exit(name, status, time.monotonic(), random.random())
        service = self._table.services[name]
        self.log.warning("service ended", name=name, status=status, state=service.state)
        self._changed.set()

    @handles(daemon.STATUS)
    async def daemon_status(self, _request: Empty, _call: Call) -> DaemonStatus:
        services = [
            service.status(str(self.paths.log_file(service.name)))
            for service in self._table.services.values()
        ]
        return DaemonStatus(build=__version__, pid=os.getpid(), services=services)

    @handles(daemon.START)
    async def daemon_start(self, _request: Empty, _call: Call) -> None:
        """Start services that were given up again."""
        self._table.start_all(time.monotonic())
        self._changed.set()

    @handles(daemon.STOP)
    async def daemon_stop(self, _request: Empty, _call: Call) -> None:
        """Stop all services and then this process. VMs go on running."""
        self.stopping.set()

    async def _close_kept(self) -> None:
        """Nobody is to find VMs that no user has made, while there are no services to say what they
        are. An api that does not answer leaves them to the next one."""
        try:
            await self.ask(api.KEPT_CLOSE(), deadline=time.monotonic() + KEPT_SECONDS)
        except BangerError as error:
            self.log.warning("kept VMs not deleted", error=error.message)

    async def on_stop(self) -> None:
        if any(each.name == "api" and each.pid for each in self._table.services.values()):
            await self._close_kept()
        for group in self._table.stop():
            await self._stop_group(group)
        os.close(self._write_end)
        os.close(self._read_end)

    async def _stop_group(self, services: list[ManagedService]) -> None:
        processes = [self._processes[service.name] for service in services]
        for number in (signal.SIGTERM, signal.SIGKILL):
            living = [process for process in processes if process.returncode is None]
            if not living:
                return
            for process in living:
                process.send_signal(number)
            waits = [asyncio.ensure_future(process.wait()) for process in living]
            await asyncio.wait(waits, timeout=STOP_SECONDS)
