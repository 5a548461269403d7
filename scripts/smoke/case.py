"""What a scenario is given: the command, and the few things it may know besides."""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.smoke import calls
from scripts.smoke.calls import Call
from scripts.smoke.expect import Failed, Skipped, equal, eventually, scaled
from scripts.smoke.stack import Stack
from shared.vm import files

QUICK = 60.0
BOOT = 240.0
"""Seconds, scaled: for a command that asks, and for one that boots a guest."""

BOOTING = frozenset("run create start restart build commit suspend resume snapshot fork".split())


class Case:
    """One scenario at play. ``calls`` is what it has typed so far; ``directory`` is where it types,
    and is its own: one that is played again does not find what its first try has left."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.ground = stack.ground
        self.network = stack.network
        self.directory = Path(tempfile.mkdtemp(prefix="case-", dir=stack.home.root))
        self.calls: list[Call] = []
        self._background: list[subprocess.Popen[bytes]] = []

    def banger(
        self,
        *arguments: str,
        stdin: bytes = b"",
        status: int | None = 0,
        env: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> Call:
        """Run the command.

        Raises:
            Failed: unless it ends with ``status`` (None: with any) before its deadline.
        """
        usual = BOOT if BOOTING & set(arguments[:2]) else QUICK
        return self._call(self.stack.home.argv(*arguments), stdin, status, seconds or usual, env)

    def program(
        self,
        *argv: str,
        stdin: bytes = b"",
        status: int | None = 0,
        env: dict[str, str] | None = None,
    ) -> Call:
        """Run another program than ours, in the same way and where VMs are reached."""
        return self._call([*self.stack.home.prefix, *argv], stdin, status, QUICK, env)

    def _call(
        self,
        argv: list[str],
        stdin: bytes,
        status: int | None,
        seconds: float,
        env: dict[str, str] | None,
    ) -> Call:
        done = calls.call(self.stack.home, self.directory, argv, stdin, seconds, env or {})
        self.calls.append(done)
        if done.status is None:
            raise Failed("the command did not end")
        if status is not None:
            equal("exit status", done.status, status)
        if "Traceback" in done.err:
            raise Failed("a traceback was printed")
        return done

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Run the command in the background; it is killed when the scenario ends before it."""
        process = calls.start(self.stack.home, self.directory, arguments)
        self._background.append(process)
        return process

    def finish(
        self, process: "subprocess.Popen[bytes]", stdin: bytes = b"", *, seconds: float = QUICK
    ) -> Call:
        """Wait for a command that ``start`` gave."""
        began = time.monotonic()
        try:
            out, err = process.communicate(stdin, scaled(seconds))
        except subprocess.TimeoutExpired:
            raise Failed(f"{process.args!r} did not end") from None
        done = Call(self._argv(process), process.returncode, out, err, time.monotonic() - began)
        self.calls.append(done)
        return done

    @staticmethod
    def _argv(process: "subprocess.Popen[bytes]") -> tuple[str, ...]:
        assert isinstance(process.args, list)
        return tuple(str(word) for word in process.args)

    def run_vm(self, name: str, *options: str) -> str:
        """A running VM of this scenario's own; it is deleted with the scenario."""
        self.banger("vm", "run", "-d", "--name", name, *options)
        return name

    @property
    def vm(self) -> str:
        """The running VM that all scenarios of the group share; they leave it as it was."""
        if not self.stack.shared:
            self.stack.shared = self.run_vm("shared")
        return self.stack.shared

    def show(self, ref: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.banger("vm", "show", ref, "-o", "json").json
        return shown

    def state(self, ref: str) -> str:
        state: str = self.show(ref)["state"]
        return state

    def inside(self, ref: str, script: str, status: int | None = 0) -> str:
        """What a shell script prints in the guest, stripped."""
        return self.banger("vm", "exec", ref, "--", "sh", "-c", script, status=status).out.strip()

    def boot_id(self, ref: str) -> str:
        """Asked of the guest itself."""
        return self.inside(ref, "cat /proc/sys/kernel/random/boot_id")

    def names(self) -> list[str]:
        listed = self.banger("vm", "list", "-o", "json").json
        return [str(vm["name"]) for vm in listed]

    def supervisor(self, ref: str) -> int | None:
        """The pid of the process that supervises a VM, read from the lock it holds."""
        lock: Path = self.stack.home.paths.vm_state(self.show(ref)["id"]) / files.LOCK
        return self.stack.holder(lock)

    def eventually_state(self, ref: str, state: str, seconds: float = 30.0) -> None:
        """Fails at once when the VM fails instead: it would stay so."""

        def reached() -> bool:
            vm = self.show(ref)
            if vm["state"] == "failed" != state:
                raise Failed(f"{ref} is failed and not {state}: {vm['reason']}")
            return bool(vm["state"] == state)

        eventually(f"{ref} is {state}", reached, seconds)

    def needs(self, command: tuple[str, ...]) -> None:
        """Skip the scenario when banger has no such command yet."""
        done = self.banger(*command, "--help", status=None)
        if done.status != 0:
            raise Skipped(f"there is no `banger {' '.join(command)}` in this build")

    def error(self, done: Call) -> dict[str, Any]:
        """The error object of a command with ``-o json``: its last line on stderr."""
        try:
            found: dict[str, Any] = json.loads(done.err.strip().splitlines()[-1])["error"]
        except (ValueError, LookupError, TypeError) as error:
            raise Failed("stderr does not end with an error as JSON") from error
        return found

    def close(self) -> None:
        for process in self._background:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
