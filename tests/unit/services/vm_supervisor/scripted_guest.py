"""A guest whose agent answers on a socket, and an ssh that does as it is told."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.ssh_access import Access
from shared.vmm.qemu.info import Qemu
from tests.unit.shared.vm.test_handle import own_handle

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class ScriptedGuest:
    """Answers as the agent of a guest with ``files``. ``prints``: the output of each script that
    has the word in it. ``refuses_opens``: how often a file is not opened at first.
    ``silent``: a command that is never answered. ``behind``: seconds, of its clock."""

    def __init__(
        self,
        files: dict[str, bytes] | None = None,
        *,
        prints: dict[str, str] | None = None,
        refuses_opens: int = 0,
        silent: str = "",
        behind: float = 0.0,
    ) -> None:
        self.files = files or {}
        self._prints = prints or {}
        self._refuses = refuses_opens
        self.silent = silent
        self.executed: list[dict[str, Any]] = []
        self._behind = behind
        self._opened: list[str] = []
        self._outputs: list[str] = []

    def __call__(self, request: dict[str, Any]) -> dict[str, Any] | None:
        command, arguments = request["execute"], request.get("arguments", {})
        if command == self.silent:
            return None
        match command:
            case "guest-file-open":
                return self._open(arguments["path"], arguments.get("mode", "r"))
            case "guest-file-read":
                content = self.files[self._opened[arguments["handle"]]]
                return {"return": {"eof": True, "buf-b64": base64.b64encode(content).decode()}}
            case "guest-file-write":
                written = base64.b64decode(arguments["buf-b64"])
                self.files[self._opened[arguments["handle"]]] = written
            case "guest-get-time":
                return {"return": time.time_ns() - int(self._behind * 1e9)}
            case "guest-exec":
                self.executed.append(arguments)
                script = " ".join(arguments["arg"])
                words = (text for word, text in self._prints.items() if word in script)
                self._outputs.append(next(words, ""))
                return {"return": {"pid": len(self._outputs) - 1}}
            case "guest-exec-status":
                output = base64.b64encode(self._outputs[arguments["pid"]].encode()).decode()
                return {"return": {"exited": True, "exitcode": 0, "out-data": output}}
        return {"return": {}}

    def _open(self, path: str, mode: str) -> dict[str, Any]:
        if self._refuses:
            self._refuses -= 1
            return {"error": {"desc": "not now"}}
        if mode == "r" and path not in self.files:
            return {"error": {"desc": f"failed to open {path}: No such file or directory"}}
        self._opened.append(path)
        return {"return": len(self._opened) - 1}


def running_vm(root: Path, **changes: Any) -> RunningVm:
    """A VM whose process is this one, its agent at ``root``/agent. ``changes``: attributes of its
    machine."""
    handle = own_handle()
    handle.access = Access("127.77.0.2", 22, "id", "pins", "vm", str(root / "master"))
    machine = SimpleNamespace(
        **{"agent": AgentAddress(root / "agent"), "user_network": None, **changes}
    )
    return RunningVm(cast(Machine, machine), handle, Qemu())


def ssh_that(
    root: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> Callable[[], int]:
    """Put an ssh into the PATH whose attempts fail with these words in turn, "" for one that
    succeeds; further ones do as the last. Returns what counts the attempts."""
    programs, tries = root / "bin", root / "tries"
    programs.mkdir()
    tries.touch()
    cases = [f"{number}) echo '{words}' >&2;;" for number, words in enumerate(complaints, 1)]
    good = [str(number) for number, words in enumerate(complaints, 1) if not words]
    cases = [f"{number}) exit 0;;" for number in good] + cases
    last = "exit 0" if not complaints[-1] else f"echo '{complaints[-1]}' >&2"
    script = f"echo >>{tries}\ncase $(wc -l <{tries}) in {' '.join(cases)} *) {last};; esac\n"
    (programs / "ssh").write_text(f"#!/bin/sh\n{script}exit 255\n")
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return lambda: tries.read_text().count("\n")
