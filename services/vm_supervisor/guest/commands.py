"""Commands of users that a guest's agent runs where ssh is broken: bounded, not interactive."""

import time

from services.vm_supervisor.guest.agent import Agent
from shared.contract.guest_command import PROGRAM, VARIABLE
from shared.contract.messages.vm_request import GuestExec, GuestOutput

CAPTURED_BYTES = 512 << 10
"""Of each output; the program in the guest cuts there, and a guest that does not is cut here."""
SPARE_SECONDS = 10.0
"""What the program in the guest has to end a command, after its time."""
ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
"""The agent's own is that of an init."""


async def execute(agent: Agent, request: GuestExec, deadline: float) -> GuestOutput:
    """Run the command and wait for its end.

    Raises:
        BangerError: ``not_found`` in a guest without our program (booted by an older banger),
            ``timeout``, ``guest_failed``.
    """
    limit = min(deadline, time.monotonic() + request.seconds + SPARE_SECONDS)
    done = await agent.execute(
        [PROGRAM, "captured", str(request.seconds)],
        limit,
        stdin=request.stdin,
        env=ENVIRONMENT | {VARIABLE: request.text},
    )
    status = done.status if done.status >= 0 else 128 - done.status
    return GuestOutput(
        status=status & 0xFF,
        stdout=done.stdout[:CAPTURED_BYTES],
        stderr=done.stderr[:CAPTURED_BYTES],
    )
