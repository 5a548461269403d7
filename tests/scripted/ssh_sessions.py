"""Sessions of a shared connection (OpenSSH's PROTOCOL.mux), with this machine as the guest.

As with sshd, a command gets pipes of its own or a terminal, and loses them when its client is gone.
"""

import fcntl
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = "/run/banger/exec"
HELLO, NEW_SESSION, ALIVE_CHECK = 1, 0x10000002, 0x10000004
EXIT_MESSAGE, ALIVE, SESSION_OPENED = 0x80000004, 0x80000005, 0x80000006


class Guest:
    """A directory with what init puts into /run/banger, and what all sessions get.

    ``shell``: the login shell, which is run with -c and the command.
    """

    def __init__(self, shell: str = "sh", environment: "dict[str, str] | None" = None) -> None:
        self.shell = shell
        self.environment = environment or dict(os.environ)
        self.mute = False
        """Whether sessions are never answered."""
        self.asked = threading.Event()
        """Set by the first request for a session."""
        self.lose: Callable[[], None] = lambda: None
        """Ends all sessions, as the end of the VM does."""
        self._directory = Path(tempfile.mkdtemp(prefix="bngr"))
        rootfs = REPOSITORY / "services/vm_supervisor/guest/rootfs"
        busybox = shutil.which("busybox")
        assert busybox, "busybox is not installed"
        (self._directory / "busybox").symlink_to(busybox)
        text = (rootfs / "exec").read_text().partition("\n")[2]
        self.program = self._directory / "exec"
        self.program.write_text(f"#!{self._directory}/busybox sh\n{text}")
        self.program.chmod(0o755)

    def argv(self, command: str) -> "list[str]":
        if not command:
            return [self.shell]
        return [self.shell, "-c", command.replace(PROGRAM, str(self.program))]

    def close(self) -> None:
        shutil.rmtree(self._directory)


class Server:
    """Serves a control socket in threads; ``close`` ends it, and its sessions."""

    def __init__(self, control: str, guest: Guest) -> None:
        self._guest = guest
        guest.lose = self.close
        self._clients: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(control)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=serve, args=(client, self._guest), daemon=True).start()

    def close(self) -> None:
        """As when the master is killed, or the VM."""
        for each in (self._listener, *self._clients):
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def serve(client: socket.socket, guest: Guest) -> None:
    """Answer one client, until it is gone or its command has ended."""
    with client:
        _send(client, HELLO, 4)
        while message := _read(client):
            kind = struct.unpack(">I", message[:4])[0]
            if kind == ALIVE_CHECK:
                _send(client, ALIVE, 0, os.getpid())
            elif kind == NEW_SESSION:
                streams = [_descriptor(client) for _ in range(3)]
                guest.asked.set()
                if not guest.mute:
                    _run(client, guest, message[8:], streams)
                    return


def _run(client: socket.socket, guest: Guest, request: bytes, streams: "list[int]") -> None:
    _, rest = _string(request)
    terminal = struct.unpack(">5I", rest[:20])[0]
    words = []
    rest = rest[20:]
    while rest:
        word, rest = _string(rest)
        words.append(word)
    variables = dict(os.fsdecode(each).split("=", 1) for each in words[2:])
    argv = guest.argv(os.fsdecode(words[1]))
    run = _with_terminal if terminal else _with_pipes
    session = run(argv, guest.environment | variables, streams)
    _send(client, SESSION_OPENED, 0, 0)
    status = session.relay(client)
    for fd in streams:
        os.close(fd)
    if status is not None:
        _send(client, EXIT_MESSAGE, 0, status)


class _Session:
    """``ways``: source → sink. The sources in ``heard`` are the command's output."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", ways: "dict[int, int]", heard: "set[int]"
    ) -> None:
        self._process = process
        self._ways = ways
        self._heard = heard
        self._held: dict[int, bytes] = {}
        self._ours = {fd for way in ways.items() for fd in way}

    def relay(self, client: socket.socket) -> "int | None":
        """The status, when the command has ended and all that it wrote is passed on; None when a
        signal ended it, or its client is gone."""
        while self._heard & self._ways.keys():
            empty = [source for source in self._ways if source not in self._held]
            full = {self._ways[source]: source for source in self._held}
            ready, writable, _ = select.select([client.fileno(), *empty], [*full], [])
            if client.fileno() in ready:
                break
            for source in [*ready, *(full[sink] for sink in writable)]:
                self._carry(source, self._ways[source])
        else:
            status = self._process.wait()
            self._close()
            return status if status >= 0 else None
        self._close()
        self._process.wait()
        return None

    def _carry(self, source: int, sink: int) -> None:
        """Never blocks: a pipe that is writable takes 4096 bytes (PIPE_BUF)."""
        try:
            if source in self._held:
                os.write(sink, self._held.pop(source))
                return
            piece = os.read(source, 4096)
        except OSError:
            piece = b""
        if piece:
            self._held[source] = piece
            return
        del self._ways[source]
        for fd in {source, sink} & self._ours:
            if fd not in self._ways and fd not in self._ways.values():
                os.close(fd)
                self._ours.discard(fd)

    def _close(self) -> None:
        for fd in self._ours:
            os.close(fd)
        self._ours.clear()

    def keep(self, *given: int) -> "_Session":
        """``given`` are the client's, which are closed elsewhere."""
        self._ours -= set(given)
        return self


def _with_pipes(argv: "list[str]", env: "dict[str, str]", streams: "list[int]") -> _Session:
    process = subprocess.Popen(
        argv, cwd=env["HOME"], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, pipesize=1 << 16,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stderr
    stdin, stdout, stderr = (os.dup(each.fileno()) for each in
                             (process.stdin, process.stdout, process.stderr))  # fmt: skip
    for each in (process.stdin, process.stdout, process.stderr):
        each.close()
    ways = {streams[0]: stdin, stdout: streams[1], stderr: streams[2]}
    return _Session(process, ways, {stdout, stderr}).keep(*streams)


def _with_terminal(argv: "list[str]", env: "dict[str, str]", streams: "list[int]") -> _Session:
    """As ssh's master does, it takes the modes over that the client's terminal has by now."""
    ours, theirs = pty.openpty()
    if os.isatty(streams[0]):
        termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(streams[0]))
    process = subprocess.Popen(
        argv, cwd=env["HOME"], env=env,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    return _Session(process, {streams[0]: ours, ours: streams[1]}, {ours}).keep(*streams)


def _send(client: socket.socket, *numbers: int) -> None:
    payload = struct.pack(f">{len(numbers)}I", *numbers)
    try:
        client.sendall(struct.pack(">I", len(payload)) + payload)
    except OSError:
        return  # it is gone


def _read(client: socket.socket) -> bytes:
    header = _exactly(client, 4)
    return _exactly(client, struct.unpack(">I", header)[0]) if header else b""


def _exactly(client: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        try:
            piece = client.recv(count - len(got))
        except OSError:
            piece = b""
        if not piece:
            return b""
        got += piece
    return got


def _descriptor(client: socket.socket) -> int:
    _, rights, _, _ = client.recvmsg(1, socket.CMSG_SPACE(4))
    return int(struct.unpack("i", rights[0][2])[0])


def _string(content: bytes) -> "tuple[bytes, bytes]":
    length = struct.unpack(">I", content[:4])[0]
    return content[4 : 4 + length], content[4 + length :]
