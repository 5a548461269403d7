"""Waits for one session in a guest to end: signals, the time limit, and a guest that is mute.

This process never waits for a guest without a limit of its own: a session has ``OPEN_SECONDS`` to
come about, and one that carries a signal ``MUTE_SECONDS``. A guest that does both in time decides
what becomes of its command, as a local one does.
"""

import math
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

from cli.guest.streams import Streams
from shared.contract.guest_command import Announcement, login_environment, signal_word
from shared.ssh.shared_connection import SharedSession, master_pid

PATIENCE = 3
"""The number of Ctrl-C after which the session is given up."""
OPEN_SECONDS = 10.0
"""Between the request for a session and the guest's answer; longer means that ssh is broken."""
MUTE_SECONDS = 1.5
"""Between a signal and a session that carries it; ``timeout`` users expect an end. The guest's sshd
opens one without starting a process, so a guest that is only busy does it in time."""
DELIVERY_SECONDS = 10.0
"""Between that session and word that the signal was delivered."""
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL after the time limit, and then until the session is given up."""
DRAIN_SECONDS = 2.0
"""For the rest of the output of a session that has ended."""


class SessionEnd(Enum):
    """How a session came to its end."""

    EXITED = auto()
    """The guest said how; see ``status``."""
    GIVEN_UP = auto()
    """This process ended it, because of a signal or the time limit."""
    NOT_STARTED = auto()
    """The command certainly did not start."""
    LOST = auto()
    """The connection ended under the command."""


class RunningCommand:
    """``until_ended`` gives the outcome; then ``status`` is 128+N for a signal that ended it here.

    ``announcement``: of a command without a terminal, None for one with a terminal.
    """

    def __init__(
        self,
        control: str,
        session: SharedSession,
        streams: Streams,
        interrupts: int,
        token: str,
        announcement: Announcement | None,
        *,
        seconds: float | None = None,
    ) -> None:
        now = time.monotonic()
        self.status = 0
        self.expired = False
        self._control = control
        self._session = session
        self._streams = streams
        self._interrupts = interrupts
        self._token = token
        self._announcement = announcement
        self._received: list[int] = []
        self._carriers: list[SharedSession] = []
        self._waiting: list[int] = []
        """Signals that came before there was a command to get them."""
        self._open_limit = now + OPEN_SECONDS
        self._give_up_at: float | None = None
        self._next_step = None if seconds is None else now + seconds
        self._steps = [signal.SIGTERM, signal.SIGKILL]

    def until_ended(self, on_open: Callable[[], None]) -> SessionEnd:
        """``on_open`` is called when the guest has accepted the session."""
        is_open = False
        try:
            while not self._session.ended:
                self._wait()
                if self._session.opened and not is_open:
                    is_open = True
                    on_open()
                if self._is_given_up():
                    return SessionEnd.GIVEN_UP
                if not self._session.opened and time.monotonic() >= self._open_limit:
                    return SessionEnd.NOT_STARTED
            self._drain()
        finally:
            for each in (self._session, *self._carriers):
                each.close()
        return self._outcome()

    def _outcome(self) -> SessionEnd:
        if self._announcement is None:
            started = self._session.opened
        else:
            started = bool(self._announcement.word)
        if not started:
            return SessionEnd.NOT_STARTED
        if self._session.status is None:
            return SessionEnd.LOST
        self.status = self._session.status
        return SessionEnd.EXITED

    # -- waiting ----------------------------------------------------------------------------

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._interrupts, select.POLLIN)
        for session in (self._session, *self._carriers):
            poll.register(session, select.POLLIN)
        pumps = {}
        for pump in self._streams.pumps:
            fd, event = pump.waits_for()
            pumps[fd] = pump
            poll.register(fd, event)
        for fd, _ in poll.poll(self._milliseconds()):
            if fd == self._interrupts:
                for number in os.read(fd, 64):
                    self._on_signal(number)
            elif fd in pumps:
                self._streams.work(pumps[fd])
            else:
                self._on_session(fd)
        if self._next_step is not None and time.monotonic() >= self._next_step:
            self._on_time_limit()
        self._carry_waiting()

    def _on_session(self, fd: int) -> None:
        if fd == self._session.fileno():
            self._session.receive()
            return
        for carrier in self._carriers:
            if carrier.fileno() == fd:
                was_open = carrier.opened
                carrier.receive()
                if carrier.opened and not was_open:
                    self._grant(DELIVERY_SECONDS)
        for carrier in [each for each in self._carriers if each.ended or each.status is not None]:
            self._carriers.remove(carrier)
            carrier.close()
            if carrier.status is not None:
                self._grant(math.inf)  # the guest is not mute: it decides now

    def _milliseconds(self) -> float | None:
        limits = [self._next_step, self._give_up_at]
        if not self._session.opened:
            limits.append(self._open_limit)
        known = [limit for limit in limits if limit is not None]
        return max(0.0, min(known) - time.monotonic()) * 1000 if known else None

    def _drain(self) -> None:
        """Print what the session has written, now that nobody writes any more."""
        limit = time.monotonic() + DRAIN_SECONDS
        for pump in self._streams.outgoing():
            while not pump.done and time.monotonic() < limit:
                poll = select.poll()
                poll.register(*pump.waits_for())
                poll.register(self._interrupts, select.POLLIN)
                ready = poll.poll(max(0.0, limit - time.monotonic()) * 1000)
                if any(fd == self._interrupts for fd, _ in ready):
                    return
                if ready:
                    pump.step()

    # -- signals ----------------------------------------------------------------------------

    def _is_given_up(self) -> bool:
        if self._give_up_at is None or time.monotonic() < self._give_up_at:
            return False
        self.status = 128 + (self._received[-1] if self._received else signal.SIGKILL)
        return True

    def _grant(self, seconds: float) -> None:
        """A guest that may become mute has so much more time, unless it was given up."""
        if self._give_up_at is not None and self._give_up_at > time.monotonic():
            self._give_up_at = time.monotonic() + seconds if seconds < math.inf else None

    def _give_up(self) -> None:
        self._give_up_at = time.monotonic()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGWINCH:
            self._pass_on_size()
            return
        self._received.append(number)
        if self._announcement is None:
            # The terminal is raw: the guest has got Ctrl-C as a key.
            if number != signal.SIGINT:
                self._give_up()
        elif len(self._received) >= PATIENCE:
            self._give_up()
        else:
            self._deliver(number)

    def _deliver(self, number: int) -> None:
        self._waiting.append(number)
        if self._give_up_at is None:
            self._give_up_at = time.monotonic() + MUTE_SECONDS
        self._carry_waiting()

    def _carry_waiting(self) -> None:
        if self._announcement is None:
            target = self._token if self._session.opened else ""
        else:
            target = self._announcement.word if self._announcement.started else ""
        while target and self._waiting:
            name = signal.Signals(self._waiting.pop(0)).name.removeprefix("SIG")
            self._carry(signal_word(name, target))

    def _carry(self, word: str) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        with suppress(OSError):  # without a master there is no session either, as will be seen
            ends = (null, null, null)
            self._carriers.append(SharedSession(self._control, word, login_environment(), ends))
        os.close(null)

    def _pass_on_size(self) -> None:
        """ssh's master reads the size of the terminal again (PROTOCOL.mux)."""
        pid = master_pid(self._control)
        if pid is not None:
            with suppress(OSError):
                os.kill(pid, signal.SIGWINCH)

    def _on_time_limit(self) -> None:
        self.expired = True
        self._next_step = time.monotonic() + GRACE_SECONDS
        if self._steps:
            self._waiting.append(self._steps.pop(0))
            self._carry_waiting()
        else:
            self._give_up()
