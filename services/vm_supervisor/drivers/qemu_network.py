"""QEMU's user-mode network while it runs: forwards and the way out, changed by QMP."""

from collections.abc import Awaitable, Callable

from services.vm_supervisor.network import CLOSED, OPEN, Forward
from shared.errors import BangerError, Code

Execute = Callable[[str, dict[str, object] | None], Awaitable[object]]
"""Runs one QMP command with its arguments."""


class QemuUserNetwork:
    """See ``driver.UserNetwork``."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    async def add_forward(self, forward: Forward) -> None:
        answer = await self._monitor(f"hostfwd_add net0 {forward_rule(forward)}")
        if answer.strip():
            raise BangerError(
                Code.CONFLICT,
                f"{forward.host} port {forward.port} cannot be forwarded: {answer.strip()}",
            )

    async def remove_forward(self, forward: Forward) -> None:
        source = f"{forward.protocol}:{forward.host}:{forward.port}"
        await self._monitor(f"hostfwd_remove net0 {source}")

    async def set_outside(self, *, open_: bool) -> None:
        """Lead the hub of the guest's second network device to the outside, or not; idempotent.

        The new end is there before the old one goes: a hub without any keeps what it is sent.
        """
        new, old = (OPEN, CLOSED) if open_ else (CLOSED, OPEN)
        present = await self._monitor("info network")
        if new.port not in present:
            for netdev in new.netdevs:
                await self._execute("netdev_add", _netdev(netdev))
        if old.port in present:
            for name in (old.port, old.network):
                await self._execute("netdev_del", {"id": name})

    async def _monitor(self, line: str) -> str:
        return str(await self._execute("human-monitor-command", {"command-line": line}))


def forward_rule(forward: Forward) -> str:
    """QEMU's hostfwd syntax: tcp:127.77.0.2:8080-:80."""
    return f"{forward.protocol}:{forward.host}:{forward.port}-:{forward.guest_port}"


def _netdev(option: str) -> dict[str, object]:
    """A -netdev value as netdev_add takes it (QEMU QMP Reference, Netdev)."""
    kind, *pairs = option.split(",")
    arguments: dict[str, object] = {"type": kind}
    for pair in pairs:
        name, _, value = pair.partition("=")
        typed = int(value) if value.isdigit() else value
        arguments[name] = value == "on" if value in ("on", "off") else typed
    return arguments
