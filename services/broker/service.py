"""The broker's input and output: one poll loop over the router socket, pidfds and a signal pipe.

It does not use asyncio: the loop has nothing to await, and every message passes through it.
"""

import os
import signal
import socket
import time
from contextlib import suppress

from services.broker.core import Command, Publish, RoutingTable, Send, WatchService
from services.broker.outbox import Outbox
from shared.bus.socket import Publisher, Router, close_context
from shared.errors import BangerError, Code
from shared.host import parent_pipe
from shared.host.locks import Lock
from shared.logs import Log
from shared.paths import Paths, become_member
from shared.version import __version__

TICK_SECONDS = 0.5
FLUSH_SECONDS = 0.01
BURST = 256
"""Messages that are read before ended processes and signals are looked at again."""


class Broker:
    """Owns both sockets. ``serve`` returns after SIGTERM or SIGINT."""

    def __init__(self, paths: Paths, log: Log) -> None:
        self._membership = become_member(paths)
        # ZeroMQ's bind() takes over the socket of a living broker without an error.
        lock = Lock.try_acquire(paths.run / "broker.lock")
        if lock is None:
            raise BangerError(Code.CONFLICT, f"another broker serves {paths.run}")
        self._lock = lock
        self._log = log
        self._router = Router(paths.broker_socket)
        self._publisher = Publisher(paths.event_socket)
        self._router.watch(self._publisher.fd)
        self._outbox = Outbox(self._router.send)
        self._table = RoutingTable(__version__, os.getpid())
        self._watched: dict[int, tuple[str, int]] = {}
        self._stopping = False
        self._signals = self._catch_signals()

    def _catch_signals(self) -> socket.socket:
        """Turn signals into a readable descriptor, so that poll() cannot miss one."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        self._wakeup = theirs
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._router.watch(ours.fileno())
        self._parent = parent_pipe.inherited()
        if self._parent is not None:
            self._router.watch(self._parent)
        return ours

    def serve(self) -> None:
        self._log.info("started")
        next_tick = time.monotonic() + TICK_SECONDS
        while not self._stopping:
            wait = FLUSH_SECONDS if self._outbox else max(0.0, next_tick - time.monotonic())
            self._look_at(self._router.poll(wait))
            self._take_messages()
            for message, code in self._outbox.flush() if self._outbox else []:
                self._failed(message, code)
            if time.monotonic() >= next_tick:
                self._end_without_sockets()
                next_tick = time.monotonic() + TICK_SECONDS
                self._carry_out(self._table.on_tick(time.monotonic()))
        self._close()

    def _end_without_sockets(self) -> None:
        """Stop when the run directory has vanished: nobody can reach these sockets any more, and
        the next broker makes new ones."""
        if self._lock.is_lost():
            self._log.warning("the sockets have vanished", lock=str(self._lock.path))
            self._stopping = True

    def _take_messages(self) -> None:
        for _ in range(BURST):
            received = self._router.receive()
            if received is None:
                return
            peer, frames, uid = received
            if uid is not None and not self._trusts(peer, uid):
                continue
            self._carry_out(self._table.on_message(peer, frames, time.monotonic()))

    def _trusts(self, peer: bytes, uid: int) -> bool:
        if uid not in (0, os.geteuid()):
            self._log.warning("dropped a message of another user", uid=uid)
            return False
        self._router.trust(peer)
        return True

    def _look_at(self, ready: set[int]) -> None:
        for fd in ready:
            if fd in (self._signals.fileno(), self._parent):
                self._stopping = True
            elif fd == self._publisher.fd:
                self._publisher.confirm()
            elif fd in self._watched:
                name, epoch = self._unwatch(fd)
                self._log.info("service ended", name=name, epoch=epoch)
                self._carry_out(self._table.on_death(name, epoch))

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Send():
                    code = self._outbox.push(command)
                    if code is not None:
                        self._failed(command, code)
                case Publish(topic, header, body):
                    self._publisher.publish(topic, header, body)
                case WatchService():
                    self._watch(command)

    def _failed(self, message: Send, code: Code) -> None:
        self._carry_out(self._table.on_send_failed(message.request_id, message.peer, code))

    def _watch(self, watch: WatchService) -> None:
        self._unwatch_older(watch.name)
        try:
            fd = os.pidfd_open(watch.pid)
        except OSError:
            self._carry_out(self._table.on_death(watch.name, watch.epoch))
            return
        self._watched[fd] = (watch.name, watch.epoch)
        self._router.watch(fd)
        self._log.info("service registered", name=watch.name, epoch=watch.epoch, of=watch.pid)

    def _unwatch_older(self, name: str) -> None:
        for fd in [fd for fd, (watched, _) in self._watched.items() if watched == name]:
            self._unwatch(fd)

    def _unwatch(self, fd: int) -> tuple[str, int]:
        self._router.unwatch(fd)
        os.close(fd)
        return self._watched.pop(fd)

    def _close(self) -> None:
        for fd in list(self._watched):
            self._unwatch(fd)
        self._router.close()
        self._publisher.close()
        close_context()
        signal.set_wakeup_fd(-1)
        self._signals.close()
        self._wakeup.close()
        self._log.info("stopped")
        with suppress(OSError):
            self._lock.release()
            self._membership.release()
