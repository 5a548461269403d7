"""Stands in for qemu-system-x86_64: the driver's command line, QMP, agent, console, forwards, ends.

    python -S -m tests.scripted.qemu -nodefaults … (see shelf.install for how it gets its name)

Only the standard library's lightest modules, so that a guest "boots" in some 20 ms. Misbehaviour is
in the script (script.py). The serial console is a root shell that knows a few words: ``poweroff``,
``reboot``, ``panic``, ``crash WORDS``, ``listen PORT``, ``unlisten PORT``, ``bind-udp PORT``,
``unbind-udp PORT``, ``awake WORDS`` (who keeps it from sleep; nobody without words) and
``networks`` (prints what -netdev and QMP made).
"""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.scripted.agent import Agent
from tests.scripted.command_line import CommandLine
from tests.scripted.migration import Migration, Unloadable, map_memory
from tests.scripted.monitor import Monitor
from tests.scripted.script import Script

LIFETIME = 600
"""Seconds after which SIGALRM ends one that a broken test left behind."""


class Crash(Exception):
    """The VMM fails by itself: words on stderr, status 1, no event."""


class Signalled(Exception):
    """SIGTERM, SIGINT or SIGHUP: QEMU ends in order."""


class Loop:
    """Callbacks for readable descriptors."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, file: Any, callback: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, callback)

    def ignore(self, file: Any) -> None:
        if file in self._selector.get_map():
            self._selector.unregister(file)

    def turn(self) -> None:
        for key, _ in self._selector.select():
            # One that was called before may have closed this one: both ends of a killed supervisor.
            if self._selector.get_map().get(key.fd) is key:
                key.data()


class Channel:
    """A Unix socket as a chardev has it: one client at a time, the next one waits."""

    def __init__(
        self,
        loop: Loop,
        path: Path,
        receive: Callable[[bytes], bytes],
        descriptors: list[int] | None = None,
    ) -> None:
        self._loop = loop
        self._path = path
        self._receive = receive
        self._descriptors = [] if descriptors is None else descriptors
        self._client: socket.socket | None = None
        self._readable = True
        self.greeting: Callable[[], bytes] = bytes
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        loop.watch(self._listener, self._accept)

    def set_readable(self, readable: bool) -> None:
        """While nobody reads at the guest's end, what clients write waits in the socket."""
        if self._client and readable != self._readable:
            if readable:
                self._loop.watch(self._client, self._read)
            else:
                self._loop.ignore(self._client)
        self._readable = readable

    def send(self, data: bytes) -> None:
        if self._client and data:
            try:
                self._client.sendall(data)
            except OSError:
                self._hang_up()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        self._client, _ = self._listener.accept()
        self._loop.ignore(self._listener)
        if self._readable:
            self._loop.watch(self._client, self._read)
        self.send(self.greeting())

    def _read(self) -> None:
        assert self._client
        try:
            data, received, _, _ = socket.recv_fds(self._client, 1 << 20, 4)
            self._descriptors += received
        except OSError:
            data = b""
        if data:
            self.send(self._receive(data))
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._client:
            self._loop.ignore(self._client)
            self._client.close()
            self._client = None
            self._loop.watch(self._listener, self._accept)


class Forwards:
    """hostfwd rules: the host's end really listens, and every connection is to a server that sends
    back what it is sent."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._listeners: dict[str, socket.socket] = {}

    def add(self, rule: str) -> str:
        source, _, _guest = rule.partition("-")
        _protocol, address, port = source.split(":")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, int(port)))
            listener.listen()
        except OSError:
            listener.close()
            return f"Could not set up host forwarding rule '{rule}'\r\n"
        self._listeners[source] = listener
        self._loop.watch(listener, lambda: self._serve(listener.accept()[0]))
        return ""

    def _serve(self, connection: socket.socket) -> None:
        """The other end reads while it sends, so that nothing waits for nothing here."""

        def echo() -> None:
            try:
                piece = connection.recv(1 << 16)
                connection.sendall(piece)
            except OSError:
                piece = b""
            if not piece:
                self._loop.ignore(connection)
                connection.close()

        self._loop.watch(connection, echo)

    def remove(self, source: str) -> str:
        listener = self._listeners.pop(source, None)
        if listener is None:
            return f"host forwarding rule for {source} not found\r\n"
        self._loop.ignore(listener)
        listener.close()
        return f"host forwarding rule for {source} removed\r\n"


class Machine:
    """The virtual machine; see ``monitor.Machine`` for what QMP does to it."""

    def __init__(self, line: CommandLine) -> None:
        self._line = line
        self._script = Script.find(line.console_log.parent, line.hostname)
        if "die" in self._script:
            raise Crash(self._script["die"])
        for path in (*line.boot, *line.drives):
            if not path.exists():
                raise Crash(f"could not open '{path}': No such file or directory")
        if line.memory:
            map_memory(line.memory)
        self._paused = line.incoming
        self._reason: str | None = None
        self._asked = False
        self._loop = Loop()
        self._forwards = Forwards(self._loop)
        self.networks: dict[str, dict[str, Any]] = {
            name: {"type": options[""]} for name, options in line.networks.items()
        }
        for rule in line.hostfwd:
            self._add_or_crash(rule)
        boot_id = Path("/proc/sys/kernel/random/uuid").read_text().strip()
        self._agent = Agent(boot_id, self._power_off)
        self.migration = Migration(
            self,
            line.memory,
            incoming=line.incoming,
            full="no-space" in self._script,
            endless="endless-save" in self._script,
        )
        self._monitor = Monitor(self)
        self._agent_channel = Channel(self._loop, line.agent, self._agent.receive)
        self._agent_channel.set_readable(False)
        self._up = self._booted = self._controlled = False
        self._console = Channel(self._loop, line.console, self._type)
        self._qmp = Channel(self._loop, line.qmp, self._monitor.receive, self.migration.descriptors)
        self._qmp.greeting = self._monitor.greeting

    def run(self) -> None:
        """Boot, and serve until the end."""
        if not self._line.incoming:
            self._print("Linux version 6.1.0-scripted")
        if self._line.incoming:
            pass
        elif "hold" in self._script:
            self._wait_for(self._script["hold"], self._boot)
        else:
            self._boot()
        while self._reason is None:
            self._loop.turn()
        self.finish()

    def finish(self) -> None:
        """Say why, and take the sockets away, as QEMU does when it is not killed."""
        assert self._reason
        guest = self._reason.startswith("guest")
        self._qmp.send(self._monitor.event("SHUTDOWN", {"guest": guest, "reason": self._reason}))
        for channel in (self._qmp, self._console, self._agent_channel):
            channel.close()

    def end(self, reason: str) -> None:
        """After what is being answered; ``reason``: a ShutdownCause of the QMP Reference."""
        self._reason = reason

    # -- the guest --------------------------------------------------------------------------

    def _wait_for(self, fifo: str, then: Callable[[], None]) -> None:
        file = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

        def go() -> None:
            self._loop.ignore(file)
            os.close(file)
            then()

        self._loop.watch(file, go)

    def _boot(self) -> None:
        self._booted = True
        if any(wish in self._script for wish in ("crash", "panic", "fail")):
            self._fail_under_control()
        elif "mute" not in self._script:
            self._up = True
            self._agent_channel.set_readable(not self._paused)

    def on_control(self) -> None:
        self._controlled = True
        if self._booted:
            self._fail_under_control()

    def _fail_under_control(self) -> None:
        """A real guest needs longer to fail than QMP to be connected."""
        if not self._controlled:
            return
        if "crash" in self._script:
            raise Crash(self._script["crash"])
        if "panic" in self._script:
            self._panic()
        if "fail" in self._script:
            self._print(f"banger-init: error: {self._script['fail']}")
            self.end("guest-shutdown")

    def _panic(self) -> None:
        self._print("Kernel panic - not syncing: scripted")
        self.end("guest-reset")  # panic=-1 on the kernel's command line

    def _power_off(self) -> None:
        if "deaf" in self._script and not self._asked:
            self._asked = True
        elif "linger" in self._script and not self._asked:
            self._asked = True
            self._up = False
            self._agent_channel.set_readable(False)
            self._wait_for(self._script["linger"], self._switch_off)
        elif "stubborn" not in self._script:
            self._switch_off()

    def _switch_off(self) -> None:
        self._print("reboot: Power down")
        self.end("guest-shutdown")

    def press_power_button(self) -> None:
        self._power_off()

    def _type(self, typed: bytes) -> bytes:
        for line in typed.decode().splitlines():
            match line.split():
                case ["poweroff"]:
                    self._power_off()
                case ["reboot"]:
                    self._print("reboot: Restarting system")
                    self.end("guest-reset")
                case ["panic"]:
                    self._panic()
                case ["crash", *words]:
                    raise Crash(" ".join(words))
                case ["networks"]:
                    self._print(f"networks: {' '.join(self.networks)}")
                case ["full"]:
                    self._qmp.send(self._monitor.fail_write())
                case ["awake", *words]:
                    self._agent.keeper = " ".join(words)
                case ["listen", port]:
                    self._agent.listen(int(port))
                case ["unlisten", port]:
                    self._agent.unlisten(int(port))
                case ["bind-udp", port]:
                    self._agent.bind_udp(int(port))
                case ["unbind-udp", port]:
                    self._agent.unbind_udp(int(port))
        return typed  # a terminal's echo

    def _print(self, text: str) -> None:
        with self._line.console_log.open("a") as log:
            log.write(f"{text}\r\n")

    # -- what the monitor can do --------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._agent_channel.set_readable(self._up and not paused)

    def remember(self) -> dict[str, Any]:
        return self._agent.remember()

    def become(self, memory: dict[str, Any]) -> None:
        self._agent.become(memory)
        self._up = self._booted = True

    def add_forward(self, rule: str) -> str:
        return self._forwards.add(rule)

    def remove_forward(self, source: str) -> str:
        return self._forwards.remove(source)

    def _add_or_crash(self, rule: str) -> None:
        complaint = self._forwards.add(rule)
        if complaint:
            raise Crash(f"-netdev user,id=net0,hostfwd={rule}: {complaint.strip()}")


def run(read: Callable[[list[str]], CommandLine]) -> int:
    """Be the VMM whose command line ``read`` understands."""

    def interrupt(_number: int, _frame: object) -> None:
        raise Signalled

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    signal.alarm(LIFETIME)
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write("QEMU emulator version 7.2.0 (scripted)\n")
        return 0
    machine = None
    try:
        machine = Machine(read(sys.argv[1:]))
        machine.run()
    except (Crash, Unloadable) as crash:
        sys.stderr.write(f"qemu-system-x86_64: {crash}\n")
        return 1
    except Signalled:
        if machine:
            machine.end("host-signal")
            machine.finish()
    return 0


if __name__ == "__main__":
    sys.exit(run(CommandLine))
