"""Make a copy of a running guest a machine of its own, by guest/rootfs/renew; and give one that has
waited since what only its user decides, by guest/rootfs/hand_over.

A copy begins as its original in every bit of memory: with its ssh host key, its clock, and the
state of its random generators. So it is renewed before anybody is let in::

    agent = await Agent.connect(machine.agent, deadline)
    await renew(agent, identity_files(identity), identity.network.macs, deadline)
    await open_session(running, state, deadline)    # sshd has the new host key

The guest is not trusted. It can keep itself from being renewed, and then the copy is not used.
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence

from services.vm_supervisor.guest import adjust
from services.vm_supervisor.guest.agent import SHELL, Agent
from services.vm_supervisor.guest.agent_answers import WORDS_MAX
from services.vm_supervisor.guest.clock import measure_lag
from shared.errors import BangerError, Code
from shared.plain_text import printable

SCRIPT = "/run/initramfs/renew"
LAST_PART = "/run/initramfs/hand_over"
POLL_SECONDS = 0.03
"""Between looks whether the script has ended: somebody waits for it."""


async def renew(
    agent: Agent,
    identity: Mapping[str, str],
    macs: Sequence[str],
    deadline: float,
    *,
    template: bool = False,
) -> str:
    """Give the guest its own identity, entropy and time. It may be done again. Returns the boot id
    that it has now.

    ``identity``: the files of launch/initrd.py's ``identity_files``. ``macs``: those of its
    devices, first that of the VM's network, then that of the outside, if any. ``template``: the
    copy is of a machine that nobody has used, so that nothing of before is kept; else files and
    programs of users are. Connections never are.

    Raises:
        BangerError: ``guest_failed`` with the cause, whatever it is. The copy must not be used.
    """
    boot_id = str(uuid.uuid4())
    own = {"boot_id": boot_id, "template": "yes" if template else ""}
    await _run(agent, SCRIPT, dict(identity) | own, deadline, macs)
    return boot_id


async def hand_over(agent: Agent, name: str, deadline: float) -> None:
    """Give a guest that was renewed, and has stood still since, its name, the time, and new
    entropy. It may be done again. Raises as ``renew``."""
    await _run(agent, LAST_PART, {"name": name}, deadline)


async def _run(
    agent: Agent,
    script: str,
    environment: dict[str, str],
    deadline: float,
    macs: Sequence[str] = (),
) -> None:
    try:
        lag = await measure_lag(agent, deadline)
        message = adjust.message(lag, secrets.token_bytes(adjust.SEED_BYTES), macs)
        executed = await agent.execute(
            [SHELL, script], deadline, stdin=message, env=environment, longest=POLL_SECONDS
        )
    except BangerError as error:
        raise _failed(error.message) from error
    if executed.status:
        words = executed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _failed(printable(words, WORDS_MAX) or f"its script ended with {executed.status}")


def _failed(cause: str) -> BangerError:
    return BangerError(
        Code.GUEST_FAILED,
        f"the copy could not be given an identity of its own: {cause}",
        hint="restart the guest that is copied: an older version may have booted it",
    )
