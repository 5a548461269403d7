"""Sessions in a guest: OpenSSH with our stdin, stdout and stderr, and its exit status.

With a terminal on both ends ssh shares our session: Ctrl-C is a byte, the size follows by itself.
Without one, ssh gets a session of its own, because it would die of Ctrl-C and leave the guest's
command running; we carry the signal into the guest instead, and wait for what the command makes
of it.
"""

import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cli.signals import interrupts_readable
from shared import ssh
from shared.errors import BangerError, Code

PATIENCE = 3
"""The Ctrl-C that gives up waiting for the guest's command."""
ATTEMPTS = 20
"""How often to look for the guest's command when a signal came before it had started."""

Forward = Callable[[int], list[str]]
"""Signal number → argv of an ssh that carries it into the guest."""


def access_of(vm: Mapping[str, Any]) -> ssh.Access:
    """How to reach the VM. Raises ``not_running`` when there is nothing to reach."""
    access = vm.get("access")
    if not access:
        raise BangerError(
            Code.NOT_RUNNING,
            f"{vm['name']} is {vm['state']}" + (f": {vm['reason']}" if vm["reason"] else ""),
            hint=f"banger vm start {vm['name']}",
        )
    return ssh.Access(
        host=access["host"],
        port=access["port"],
        key=access["key"],
        known_hosts=access["known_hosts"],
        alias=access["alias"],
        control=access["control"],
    )


def on_terminal() -> bool:
    """Whether a person sits at both ends: only then is a terminal made in the guest."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def run_shell(access: ssh.Access, *, tty: bool | None = None) -> int:
    """A login shell; returns its exit status."""
    return _run(ssh.session_argv(access, tty=on_terminal() if tty is None else tty), None)


def run_command(
    access: ssh.Access,
    argv: Sequence[str],
    *,
    cwd: str = "",
    env: Mapping[str, str] | None = None,
    tty: bool | None = None,
) -> int:
    """Run exactly ``argv`` and return its exit status, 128+N when signal N ended it."""
    token = secrets.token_hex(8)
    command = ssh.remote_command(argv, cwd=cwd, env={**(env or {}), ssh.MARK: token})

    def carry(number: int) -> list[str]:
        name = signal.Signals(number).name.removeprefix("SIG")
        return ssh.session_argv(access, ssh.signal_command(token, name))

    tty = on_terminal() if tty is None else tty
    return _run(ssh.session_argv(access, command, tty=tty), None if tty else carry)


def _run(argv: Sequence[str], forward: Forward | None) -> int:
    with interrupts_readable() as interrupts:
        process = _spawn(argv, start_new_session=forward is not None)
        watch = _Watch(process, interrupts, forward)
        status = watch.until_ended()
    return status if status >= 0 else 128 - status


def _spawn(argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(argv, **options)
    except FileNotFoundError:
        raise BangerError(
            Code.MISSING_TOOL, f"there is no {argv[0]} on this machine", hint="banger doctor"
        ) from None


class _Watch:
    """Waits for ssh, and for signals in the meantime."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", interrupts: int, forward: Forward | None
    ) -> None:
        self._process = process
        self._forward = forward
        self._interrupts = interrupts
        self._received: list[int] = []
        self._attempts = 0
        self._carriers: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        self._pidfd = os.pidfd_open(process.pid)
        self._poll = select.poll()
        self._poll.register(self._pidfd, select.POLLIN)
        self._poll.register(interrupts, select.POLLIN)

    def until_ended(self) -> int:
        """The exit status of ssh, or 128+N when it had to be ended because of signal N."""
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd == self._pidfd:
                        return self._ended(self._process.wait())
                    if fd == self._interrupts:
                        for number in os.read(fd, 64):
                            self._on_signal(number)
                    else:
                        self._on_carried(fd)
        finally:
            os.close(self._pidfd)
            for fd in list(self._carriers):
                self._forget(fd)

    def _ended(self, status: int) -> int:
        return 128 + self._received[-1] if status < 0 and self._received else status

    def _on_signal(self, number: int) -> None:
        self._received.append(number)
        if self._forward is None:
            # On a terminal Ctrl-C has reached ssh by itself; the others are meant for us.
            if number != signal.SIGINT:
                self._process.terminate()
        elif len(self._received) >= PATIENCE:
            self._process.kill()
        else:
            self._carry(number, self._forward)

    def _carry(self, number: int, forward: Forward) -> None:
        null = subprocess.DEVNULL
        argv = forward(number)
        carrier = _spawn(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        pidfd = os.pidfd_open(carrier.pid)
        self._carriers[pidfd] = (number, carrier)
        self._poll.register(pidfd, select.POLLIN)

    def _on_carried(self, fd: int) -> None:
        number, status = self._forget(fd)
        self._attempts += 1
        if status == 1 and self._forward and self._attempts < ATTEMPTS:
            self._carry(number, self._forward)  # the command had not started yet

    def _forget(self, fd: int) -> tuple[int, int]:
        number, carrier = self._carriers.pop(fd)
        self._poll.unregister(fd)
        os.close(fd)
        carrier.terminate()
        return number, carrier.wait()
