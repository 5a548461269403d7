"""Sessions in a guest: OpenSSH with the standard streams of this process, and its exit status.

With a terminal on both ends, ssh stays in this process's session: Ctrl-C is a byte, and ssh follows
the size of the terminal. Without one, ssh gets a session of its own, because Ctrl-C would end it
and leave the guest's command running. The signal is carried into the guest instead, and the command
decides what becomes of it.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from cli.guest.ssh_process import SshProcess
from cli.terminal.signals import interrupts_readable
from shared.contract import ssh_access as ssh
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView

PATIENCE = 3
"""The number of Ctrl-C after which ssh is killed."""
ATTEMPTS = 20
"""How often a signal is sent again that came before the guest's command had started."""
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL after the time limit, and then until ssh is killed."""

Forward = Callable[[int], list[str]]
"""Signal number → argv of an ssh that carries it into the guest."""


def access_of(view: "VmView") -> ssh.Access:
    """How to reach the VM. Raises ``not_running`` when there is nothing to reach."""
    vm = view.vm
    if view.access is None:
        raise BangerError(
            Code.NOT_RUNNING,
            f"{vm.name} is {vm.state}" + (f": {vm.reason}" if vm.reason else ""),
            hint=f"start it: banger vm start {vm.name}",
        )
    return view.access


def on_terminal() -> bool:
    """Whether both ends are a terminal, so that the guest's command gets one too."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def run_shell(access: ssh.Access, *, tty: bool | None = None) -> int:
    """A login shell; returns its exit status."""
    argv = ssh.session_argv(access, tty=on_terminal() if tty is None else tty)
    with interrupts_readable() as interrupts:
        return _shell_status(_Session(SshProcess(argv), interrupts).until_ended())


def run_command(
    access: ssh.Access,
    argv: Sequence[str],
    *,
    cwd: str = "",
    env: Mapping[str, str] | None = None,
    tty: bool | None = None,
    seconds: float | None = None,
) -> int:
    """Run exactly ``argv`` and return its exit status, 128+N when signal N ended it.

    After ``seconds`` the command gets SIGTERM, and SIGKILL if that does not end it.

    Raises:
        BangerError: ``timeout`` when it was still running after ``seconds``.
    """
    token = os.urandom(8).hex()
    # Exported by the shell: to load env(1) takes 40 ms in an emulated guest.
    command = f"export {ssh.MARK}={token}; {ssh.remote_command(argv, cwd=cwd, env=env)}"

    def carry(number: int) -> list[str]:
        name = signal.Signals(number).name.removeprefix("SIG")
        return ssh.session_argv(access, ssh.signal_command(token, name))

    tty = on_terminal() if tty is None else tty
    with interrupts_readable() as interrupts:
        child = SshProcess(ssh.session_argv(access, command, tty=tty), own_session=not tty)
        session = _Session(child, interrupts, carry, terminal=tty, seconds=seconds)
        status = session.until_ended()
    if session.expired:
        raise BangerError(
            Code.TIMEOUT,
            f"{argv[0]} was still running after {seconds:g} s and was terminated",
        )
    return _shell_status(status)


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status


class _Session:
    """Waits for ssh to end, and handles signals and the time limit."""

    def __init__(
        self,
        child: SshProcess,
        interrupts: int,
        forward: Forward | None = None,
        *,
        terminal: bool = True,
        seconds: float | None = None,
    ) -> None:
        self.expired = False
        self._child = child
        self._forward = forward
        self._terminal = terminal
        self._interrupts = interrupts
        self._received: list[int] = []
        self._attempts = 0
        self._carriers: dict[int, tuple[int, SshProcess]] = {}
        self._poll = select.poll()
        self._poll.register(child.pidfd, select.POLLIN)
        self._poll.register(interrupts, select.POLLIN)
        self._next_step = None if seconds is None else time.monotonic() + seconds
        self._steps = [signal.SIGTERM, signal.SIGKILL]

    def until_ended(self) -> int:
        """The exit status of ssh, or 128+N when signal N made this process end ssh."""
        try:
            while True:
                for fd, _ in self._poll.poll(self._milliseconds()):
                    if fd == self._child.pidfd:
                        return self._ended(self._child.wait())
                    if fd == self._interrupts:
                        for number in os.read(fd, 64):
                            self._on_signal(number)
                    else:
                        self._on_carried(fd)
                if self._milliseconds() == 0:
                    self._on_time()
        except BaseException:
            self._child.send(signal.SIGKILL)  # it must not outlive this process
            self._child.wait()
            raise
        finally:
            for fd in list(self._carriers):
                self._forget(fd)

    def _ended(self, status: int) -> int:
        # With a terminal ssh itself gets the signal and exits with 255.
        by_signal = status < 0 or (status == 255 and self._terminal)
        return 128 + self._received[-1] if by_signal and self._received else status

    def _milliseconds(self) -> float | None:
        """Until the next step against a command out of time; None for no limit."""
        if self._next_step is None:
            return None
        return max(0.0, self._next_step - time.monotonic()) * 1000

    def _on_time(self) -> None:
        self.expired = True
        self._next_step = time.monotonic() + GRACE_SECONDS
        if self._steps and self._forward:
            self._carry(self._steps.pop(0), self._forward)
        else:
            self._child.send(signal.SIGKILL)

    def _on_signal(self, number: int) -> None:
        self._received.append(number)
        if self._terminal or self._forward is None:
            # On a terminal the guest has got Ctrl-C as a key; other signals end ssh.
            if number != signal.SIGINT:
                self._child.send(signal.SIGTERM)
        elif len(self._received) >= PATIENCE:
            self._child.send(signal.SIGKILL)
        else:
            self._carry(number, self._forward)

    def _carry(self, number: int, forward: Forward) -> None:
        carrier = SshProcess(forward(number), own_session=True, quiet=True)
        self._carriers[carrier.pidfd] = (number, carrier)
        self._poll.register(carrier.pidfd, select.POLLIN)

    def _on_carried(self, fd: int) -> None:
        number, status = self._forget(fd)
        self._attempts += 1
        if status == 1 and self._forward and self._attempts < ATTEMPTS:
            self._carry(number, self._forward)  # the command had not started yet

    def _forget(self, fd: int) -> tuple[int, int]:
        number, carrier = self._carriers.pop(fd)
        self._poll.unregister(fd)
        carrier.send(signal.SIGTERM)
        return number, carrier.wait()
