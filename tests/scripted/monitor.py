"""QMP, the server's side (the QEMU QMP Reference Manual): bytes in, lines out."""

import json
import time
from typing import Any, Protocol

from tests.scripted.migration import Migration, Refused

_GREETING: dict[str, Any] = {
    "QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": "scripted"}}
}


_decoder = json.JSONDecoder()


class Machine(Protocol):
    """What the monitor can do to the machine it belongs to."""

    paused: bool
    networks: dict[str, dict[str, Any]]
    """By id, as -netdev or netdev_add made them."""
    migration: Migration

    def end(self, reason: str) -> None: ...

    def on_control(self) -> None:
        """Somebody has connected and negotiated."""

    def press_power_button(self) -> None: ...

    def add_forward(self, rule: str) -> str:
        """Returns QEMU's complaint, or ""."""

    def remove_forward(self, source: str) -> str: ...


class Monitor:
    """One connection's worth of state; a new one begins with ``greeting``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._buffer = b""
        self._negotiated = False
        self._failed_write = False

    def greeting(self) -> bytes:
        self._buffer, self._negotiated = b"", False
        return _line({"QMP": {**_GREETING["QMP"], "capabilities": []}})

    def event(self, name: str, data: dict[str, Any] | None = None) -> bytes:
        """Nobody hears events before the capabilities have been negotiated."""
        if not self._negotiated:
            return b""
        seconds, micro = divmod(time.time_ns() // 1000, 1_000_000)
        stamp = {"seconds": seconds, "microseconds": micro}
        return _line({"event": name, "timestamp": stamp} | ({"data": data} if data else {}))

    def fail_write(self) -> bytes:
        """No space on the host for what the guest wrote: QEMU stops it (-drive werror=enospc)."""
        self._failed_write = True
        data = {"operation": "write", "action": "stop", "nospace": True, "reason": "No space left"}
        return self.event("BLOCK_IO_ERROR", data) + self._set_paused(True)

    def receive(self, data: bytes) -> bytes:
        # A stream of JSON texts: clients need not end them by a newline.
        self._buffer, answers = (self._buffer + data).lstrip(), b""
        while self._buffer:
            try:
                request, end = _decoder.raw_decode(self._buffer.decode())
            except ValueError:
                break  # half of one
            answers += self._answer(request)
            self._buffer = self._buffer[end:].lstrip()
        return answers

    def _answer(self, request: dict[str, Any]) -> bytes:
        tag = {"id": request["id"]} if "id" in request else {}
        try:
            events, result = self._execute(request["execute"], request.get("arguments", {}))
        except Refused as refused:
            return _line({"error": {"class": "GenericError", "desc": str(refused)}} | tag)
        return events + _line({"return": result} | tag)

    def _execute(self, command: str, arguments: dict[str, Any]) -> tuple[bytes, Any]:
        """Events that come before the answer, and the answer."""
        machine, events = self._machine, b""
        result: object = {}
        match command:
            case "qmp_capabilities":
                self._negotiated = True
                machine.on_control()
            case "query-status":
                stopped = "io-error" if self._failed_write else "paused"
                status = stopped if machine.paused else "running"
                status = machine.migration.runstate or status
                result = {"running": not machine.paused, "singlestep": False, "status": status}
            case "query-version":
                result = _GREETING["QMP"]["version"]
            case "stop":
                events = self._set_paused(True)
            case "cont":
                self._failed_write = False
                goes_on = machine.migration.go_on()
                events = self._set_paused(False)
                if not goes_on:
                    events += self._set_paused(True)
            case "quit":
                machine.end("host-qmp-quit")
            case "system_powerdown":
                machine.press_power_button()
                events = self.event("POWERDOWN")
            case "human-monitor-command":
                result = self._human(arguments["command-line"])
            case "netdev_add":
                if arguments["id"] in machine.networks:
                    raise Refused(f"Duplicate ID '{arguments['id']}' for netdev")
                machine.networks[arguments["id"]] = arguments
            case "netdev_del":
                if machine.networks.pop(arguments["id"], None) is None:
                    raise Refused(f"Device '{arguments['id']}' not found")
            case "set_link":
                pass
            case "getfd" | "qom-get" | "migrate-set-capabilities" | "migrate-set-parameters":
                result = machine.migration.answer(command, arguments)
            case "migrate" | "migrate-incoming" | "query-migrate" | "migrate_cancel":
                result = machine.migration.answer(command, arguments)
            case _:
                raise Refused(f"The command {command} has not been found")
        return events, result

    def _set_paused(self, paused: bool) -> bytes:
        if self._machine.paused == paused:
            return b""
        self._machine.paused = paused
        return self.event("STOP" if paused else "RESUME")

    def _human(self, line: str) -> str:
        match line.split():
            case ["hostfwd_add", "net0", rule]:
                return self._machine.add_forward(rule)
            case ["hostfwd_remove", "net0", source]:
                return self._machine.remove_forward(source)
            case ["info", "network"]:
                lines = self._machine.networks.items()
                return "".join(f"{name}: index=0,type={n['type']}\r\n" for name, n in lines)
            case _:
                return f"unknown command: '{line}'\r\n"


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\r\n"
