"""Room for connections that arrive at once at the forwards of a VMM's user-mode network.

libslirp listens with a queue of one connection (``listen(s, 1)``): of a hundred that arrive at once
most are dropped by the kernel, and try again after a second or more. A queue can be made longer by
another listen(2) on the same socket, and another process can do that: pidfd_getfd(2) gives it the
very socket. Nothing is between the client and the VMM, and nothing is lost when this process ends.

It takes what ptrace(2) takes: the same user, and with Yama's default (ptrace_scope 1) that the VMM
is a descendant, which it is until a supervisor is replaced. Where it is refused, all is as libslirp
made it.
"""

import errno
import os
import socket
from pathlib import Path

from shared.host.process import ProcessId, start_time

LENGTH = 1024
"""Connections that wait to be accepted; the kernel allows net.core.somaxconn, 4096 by default."""
_SYS_PIDFD_GETFD = 438
"""The same on all architectures (pidfd_getfd(2)). Python has no function for it."""


class ListenBacklog:
    """The listening TCP sockets of one process. ``obstacle`` says why they stayed as they were."""

    def __init__(self, process: ProcessId) -> None:
        self.obstacle = ""
        self._process = process
        self._seen: set[str] = set()

    def deepen(self) -> None:
        """Give those that are new room for ``LENGTH`` connections. Nothing is raised."""
        try:
            self._deepen()
        except OSError as error:
            self.obstacle = f"connections to forwards wait one at a time: {error.strerror}"

    def _deepen(self) -> None:
        sockets = dict(self._sockets())
        new = {name: fd for name, fd in sockets.items() if name not in self._seen}
        if not new:
            return
        pidfd = os.pidfd_open(self._process.pid)
        try:
            if start_time(self._process.pid) != self._process.start_time:
                return
            for fd in new.values():
                _listen_again(pidfd, fd)
        finally:
            os.close(pidfd)
        self._seen = set(sockets)
        self.obstacle = ""

    def _sockets(self) -> list[tuple[str, int]]:
        """Name ("socket:[inode]") and descriptor."""
        found = []
        for entry in Path(f"/proc/{self._process.pid}/fd").iterdir():
            try:
                name = str(entry.readlink())
            except FileNotFoundError:
                continue  # closed this moment
            if name.startswith("socket:"):
                found.append((name, int(entry.name)))
        return found


def _listen_again(pidfd: int, target: int) -> None:
    import ctypes

    fd = ctypes.CDLL(None, use_errno=True).syscall(_SYS_PIDFD_GETFD, pidfd, target, 0)
    if fd < 0:
        number = ctypes.get_errno()
        if number == errno.EBADF:
            return  # closed this moment
        raise OSError(number, os.strerror(number))
    with socket.socket(fileno=fd) as copy:
        listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if listens and copy.family == socket.AF_INET:
            copy.listen(LENGTH)
