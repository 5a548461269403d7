"""A guest agent: requests in, answers out (the QEMU Guest Agent Protocol Reference). Pure but for
the guest's commands, which run on this machine.

It has the files that make a guest this guest (a boot id of its own, its listening sockets) and
this machine's /proc for the rest of what a guest's is read for.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from time import time_ns as now
from typing import Any

_HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LOCKS = "/run/systemd/inhibit"
"""Whoever reads this directory asks who keeps the guest awake."""
_LENT = ("/proc/uptime", "/proc/stat", "/proc/meminfo", "/proc/loadavg")
"""Files of this machine that pass for the guest's."""


class Refused(Exception):
    """Becomes {"error": {"class": "GenericError", "desc": ...}}."""


class Agent:
    """``on_power_off`` is called when pid 1 is sent a signal that means it. A guest that is to be
    called "unwilling" cannot be handed over."""

    def __init__(self, boot_id: str, on_power_off: Callable[[], None]) -> None:
        self._on_power_off = on_power_off
        self._boot_id = boot_id
        self._buffer = b""
        self._listening = [22]
        self.keeper = ""
        """The program that keeps the guest awake."""
        self._bound: list[int] = []
        self._written: dict[str, bytes] = {}
        self._open: dict[int, tuple[str, bytes]] = {}
        self._exited: dict[int, dict[str, Any]] = {}
        self._next = 1000

    def listen(self, port: int) -> None:
        """The guest listens on a TCP port of all its addresses."""
        self._listening.append(port)

    def unlisten(self, port: int) -> None:
        self._listening.remove(port)

    def bind_udp(self, port: int) -> None:
        """The guest takes datagrams on a port of all its addresses."""
        self._bound.append(port)

    def unbind_udp(self, port: int) -> None:
        self._bound.remove(port)

    def remember(self) -> dict[str, Any]:
        """What the guest has in its memory."""
        written = {path: base64.b64encode(each).decode() for path, each in self._written.items()}
        known = {"boot_id": self._boot_id, "listening": self._listening, "bound": self._bound}
        return known | {"written": written}

    def become(self, memory: dict[str, Any]) -> None:
        """Go on as the guest whose memory it is."""
        self._boot_id = memory["boot_id"]
        self._listening, self._bound = memory["listening"], memory["bound"]
        self._written = {path: base64.b64decode(each) for path, each in memory["written"].items()}

    def receive(self, data: bytes) -> bytes:
        """Bytes from the host; returns what is answered."""
        # 0xFF is in no JSON text: the agent's parser starts afresh there.
        self._buffer = (self._buffer + data).rpartition(b"\xff")[2]
        *lines, self._buffer = self._buffer.split(b"\n")
        return b"".join(self._answer(json.loads(line)) for line in lines if line.strip())

    def _answer(self, request: dict[str, Any]) -> bytes:
        command, arguments = request["execute"], request.get("arguments", {})
        handler = getattr(self, command.replace("-", "_"), None)
        try:
            if handler is None or not command.startswith("guest-"):
                raise Refused(f"The command {command} has not been found")
            answer = {"return": handler(**{k.replace("-", "_"): v for k, v in arguments.items()})}
        except Refused as refused:
            answer = {"error": {"class": "GenericError", "desc": str(refused)}}
        delimiter = b"\xff" if command == "guest-sync-delimited" else b""
        return delimiter + json.dumps(answer).encode() + b"\n"

    # -- commands, by their names in the reference --------------------------------------------

    def guest_sync_delimited(self, id: int) -> int:  # noqa: A002
        return id

    def guest_ping(self) -> dict[str, Any]:
        return {}

    def guest_get_time(self) -> int:
        return now()

    def guest_set_time(self, time: int) -> dict[str, Any]:
        return {}

    def guest_exec(
        self,
        path: str,
        arg: list[str],
        env: list[str] | None = None,
        input_data: str = "",
        capture_output: bool = False,
    ) -> dict[str, Any]:
        self._next += 1
        script = " ".join(arg)
        if "kill -s RTMIN+4 1" in script or "kill -s USR2 1" in script:
            self._exited[self._next] = {"exited": True, "exitcode": 0}
            self._on_power_off()
        elif script == "/run/initramfs/renew":
            self._boot_id = dict(each.split("=", 1) for each in env or [])["boot_id"]
            self._exited[self._next] = {"exited": True, "exitcode": 0}
        elif script == "/run/initramfs/hand_over":
            refused = "name=unwilling" in (env or [])
            self._exited[self._next] = {"exited": True, "exitcode": int(refused)}
        elif "is-system-running" in script or "/run/initramfs/settle" in "".join(env or []):
            self._exited[self._next] = {"exited": True, "exitcode": 0}
        elif LOCKS in script:
            said = f"LOCK\nWHAT=sleep\nMODE=block\nWHO={self.keeper}\n" if self.keeper else ""
            output = base64.b64encode(said.encode()).decode()
            self._exited[self._next] = {"exited": True, "exitcode": 0, "out-data": output}
        else:
            self._exited[self._next] = _run([path, *arg], env, base64.b64decode(input_data))
        return {"pid": self._next}

    def guest_exec_status(self, pid: int) -> dict[str, Any]:
        if pid not in self._exited:
            raise Refused(f"Invalid parameter 'pid': {pid}")
        return self._exited.pop(pid)

    def guest_file_open(self, path: str, mode: str = "r") -> int:
        self._next += 1
        self._open[self._next] = (path, self._content(path) if mode == "r" else b"")
        return self._next

    def guest_file_read(self, handle: int, count: int = 4096) -> dict[str, Any]:
        path, content = self._open[handle]
        self._open[handle] = (path, content[count:])
        chunk = base64.b64encode(content[:count]).decode()
        return {"count": len(content[:count]), "buf-b64": chunk, "eof": len(content) < count}

    def guest_file_seek(self, handle: int, offset: int, whence: str) -> dict[str, Any]:
        """Only to the start, as a table of the kernel's is read again."""
        assert (offset, whence) == (0, "set")
        if handle not in self._open:
            raise Refused(f"handle '{handle}' has not been found")
        path, _ = self._open[handle]
        self._open[handle] = (path, self._content(path))
        return {"position": 0, "eof": False}

    def guest_file_write(self, handle: int, buf_b64: str) -> dict[str, Any]:
        path, _ = self._open[handle]
        content = base64.b64decode(buf_b64)
        self._written[path] = self._written.get(path, b"") + content
        return {"count": len(content), "eof": False}

    def guest_file_close(self, handle: int) -> dict[str, Any]:
        del self._open[handle]
        return {}

    def guest_network_get_interfaces(self) -> list[dict[str, Any]]:
        counters = {"rx-bytes": 4096, "tx-bytes": 2048, "rx-packets": 8, "tx-packets": 4}
        zero = {f"{way}-{what}": 0 for way in ("rx", "tx") for what in ("errs", "dropped")}
        address = {"ip-address-type": "ipv4", "ip-address": "10.0.2.15", "prefix": 24}
        eth0 = {"name": "eth0", "ip-addresses": [address], "statistics": counters | zero}
        loopback = {"ip-address-type": "ipv4", "ip-address": "127.0.0.1", "prefix": 8}
        return [{"name": "lo", "ip-addresses": [loopback]}, eth0]

    def _content(self, path: str) -> bytes:
        if path in self._written:
            return self._written[path]
        if path == "/proc/sys/kernel/random/boot_id":
            return f"{self._boot_id}\n".encode()
        if path == "/proc/net/tcp":
            return _socket_table(self._listening, "0A").encode()
        if path == "/proc/net/udp":
            return _socket_table(self._bound, "07").encode()
        if path.startswith("/proc/net/"):
            return _HEADER.encode()
        if path in _LENT:
            return Path(path).read_bytes()
        raise Refused(f"failed to open file '{path}' (mode: 'r'): No such file or directory")


def _socket_table(ports: list[int], state: str) -> str:
    line = "   {}: 00000000:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 1\n"
    return _HEADER + "".join(line.format(n, port, state) for n, port in enumerate(ports))


def _run(argv: list[str], env: list[str] | None, stdin: bytes) -> dict[str, Any]:
    import subprocess  # not needed by most guests, and slow to import

    variables = dict(each.split("=", 1) for each in env) if env else None
    try:
        done = subprocess.run(
            argv, env=variables, input=stdin, capture_output=True, timeout=10, check=False
        )
    except OSError as error:
        raise Refused(f"Failed to execute child process “{argv[0]}” ({error.strerror})") from error
    how = {"signal": -done.returncode} if done.returncode < 0 else {"exitcode": done.returncode}
    out, err = (base64.b64encode(stream).decode() for stream in (done.stdout, done.stderr))
    return {"exited": True, "out-data": out, "err-data": err, **how}
