"""How far the guest's systemd is with its boot, which goes on after the guest is ready."""

from services.vm_supervisor.guest.agent import SHELL, Agent
from shared.contract.messages.machine import SystemState
from shared.plain_text import printable

MOST_UNITS = 20
WORD_LENGTH = 100
"""Characters kept of what systemctl prints."""
WAIT = """
case $(readlink -f /sbin/init) in
*/systemd) ;;
*) exit 0 ;;
esac
until [ -S /run/systemd/private ]; do sleep 0.2; done
systemctl is-system-running --wait
systemctl list-units --failed --plain --no-legend
"""
"""Before systemd serves this socket, systemctl answers at once that there is no systemd."""


async def await_system(agent: Agent, deadline: float) -> SystemState:
    """Return when systemd has finished its boot, at once for a guest whose init is another.

    Raises:
        BangerError: ``timeout`` at ``deadline`` (CLOCK_MONOTONIC seconds), ``guest_failed`` when
            the guest powers off meanwhile.
    """
    done = await agent.execute([SHELL, "-c", WAIT], deadline)
    return parse_state(done.stdout.decode(errors="replace"))


def parse_state(output: str) -> SystemState:
    """What systemctl has printed: a state, then a line for each unit that failed. Pure."""
    state, *units = [printable(line)[:WORD_LENGTH] for line in output.splitlines()] or [""]
    return SystemState(
        state=state, failed=[unit.split()[0] for unit in units if unit.split()][:MOST_UNITS]
    )
