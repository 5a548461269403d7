"""Migration to files and from them (the QEMU QMP Reference, Migration), as strict as QEMU is.

A guest's memory is what its agent knows. It is in the file of memory-backend-file, or in the stream
with the device state. Both end with the description that QEMU writes.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any, Protocol

_IGNORE_SHARED = "x-ignore-shared"
_HEAD = b"QEVM\0\0\0\3\x07"
"""Format 3, and that the name of the machine follows."""
_MOST = 1 << 20
"""Bytes that a guest's agent knows."""


class Refused(Exception):
    """Becomes {"error": {"class": "GenericError", "desc": ...}}."""


class Guest(Protocol):
    """What is saved and loaded."""

    def remember(self) -> dict[str, Any]: ...

    def become(self, memory: dict[str, Any]) -> None: ...


class Unloadable(Exception):
    """QEMU ends with status 1 and these words."""


class Migration:
    """``memory``: the options of memory-backend-file, empty without. ``full``: a save finds no
    space. ``endless``: it does not end by itself."""

    def __init__(
        self,
        guest: Guest,
        memory: dict[str, str],
        *,
        incoming: bool,
        full: bool = False,
        endless: bool = False,
    ) -> None:
        self.runstate = "inmigrate" if incoming else ""
        """A RunState that only a migration brings; empty for the others."""
        self.descriptors: list[int] = []
        """As they came over the control socket."""
        self._guest = guest
        self._memory = memory
        self._full = full
        self._endless = endless
        self._named: dict[str, int] = {}
        self._ignore_shared = False
        self._outcome: dict[str, Any] = {}

    def answer(self, command: str, arguments: dict[str, Any]) -> object:
        match command:
            case "getfd":
                if not self.descriptors:
                    raise Refused("No file descriptor supplied via SCM_RIGHTS")
                self._named[arguments["fdname"]] = self.descriptors.pop()
            case "migrate-set-capabilities":
                for each in arguments["capabilities"]:
                    if each["capability"] == _IGNORE_SHARED:
                        self._ignore_shared = each["state"]
            case "migrate-set-parameters":
                pass
            case "migrate_cancel":
                if self._is_active:
                    self._outcome = {"status": "cancelled"}
            case "migrate":
                self._save(self._take(arguments["uri"]))
            case "query-migrate":
                return self._outcome
            case "migrate-incoming":
                self._load(self._take(arguments["uri"]))
            case "qom-get":
                return self._property(arguments["property"])
        return {}

    @property
    def _is_active(self) -> bool:
        return self._outcome.get("status") == "active"

    def go_on(self) -> bool:
        """False for a guest that is stopped again at once, by the end of a save under way."""
        if self.runstate == "inmigrate":
            raise Refused("Guest is waiting for an incoming migration")
        self.runstate = ""
        if self._is_active:
            self._outcome, self.runstate = {"status": "completed"}, "postmigrate"
        return not self.runstate

    def _take(self, uri: str) -> int:
        if uri.removeprefix("fd:") not in self._named:
            raise Refused(f"File descriptor named '{uri}' has not been found")
        return self._named.pop(uri.removeprefix("fd:"))

    def _property(self, name: str) -> object:
        if name == "size":
            return 1 << 29
        if name == "share":
            return self._memory.get("share") == "on"
        if name == "mem-path" and self._memory:
            return self._memory["mem-path"]
        raise Refused(f"Property 'memory-backend-ram.{name}' not found")

    def _save(self, descriptor: int) -> None:
        if self.runstate == "postmigrate":
            raise Refused("Can't migrate the vm that was paused due to previous migration")
        if self._endless:
            os.close(descriptor)
            self._outcome = {"status": "active"}
            return
        memory = self._guest.remember()
        if self._ignore_shared and self._memory.get("share") == "on":
            _write_memory(Path(self._memory["mem-path"]), memory)
            memory = {}
        description = json.dumps({"devices": [{"name": "slirp", "instance_id": 0}]}).encode()
        tail = b"\x06" + len(description).to_bytes(4, "big") + description
        try:
            with open(descriptor, "wb") as state:
                if self._full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                state.write(_HEAD + json.dumps({"memory": memory}).encode() + tail)
        except OSError as error:
            words = f"Unable to write to file: {error.strerror}"
            self._outcome = {"status": "failed", "error-desc": words}
            return
        self._outcome = {"status": "completed"}
        self.runstate = "postmigrate"

    def _load(self, descriptor: int) -> None:
        if self.runstate != "inmigrate":
            raise Refused("'-incoming' was not specified on the command line")
        with open(descriptor, "rb") as state:
            try:
                text = state.read().removeprefix(_HEAD).decode(errors="replace")
                saved, _ = json.JSONDecoder().raw_decode(text)
                memory = saved["memory"] or self._mapped()
            except (ValueError, KeyError):
                raise Unloadable("load of migration failed: Invalid argument") from None
        self._guest.become(memory)
        self.runstate = ""

    def _mapped(self) -> Any:
        with Path(self._memory["mem-path"]).open("rb") as file:
            return json.loads(file.read(_MOST).partition(b"\0")[0])


def map_memory(options: dict[str, str]) -> None:
    """Make the file of a memory-backend-file, or refuse one that is too short."""
    path, size = Path(options["mem-path"]), int(options["size"].removesuffix("M")) << 20
    if not path.exists() or path.stat().st_size == 0:
        with path.open("wb") as file:
            os.truncate(file.fileno(), size)
    elif path.stat().st_size < size:
        raise Unloadable(
            f"backing store size {path.stat().st_size:#x} does not match 'size' option {size:#x}"
        )


def _write_memory(path: Path, memory: dict[str, Any]) -> None:
    with path.open("r+b") as file:
        file.write(json.dumps(memory).encode() + b"\0")
