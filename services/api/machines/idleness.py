"""Since when nobody has used a VM: ``idle_suspend_after``. Pure; looks and times are handed in."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.contract.messages.machine import Activity
from shared.contract.messages.vm import Vm

TRAFFIC = 256
"""Bytes a second through the guest's network that are no use: ssh keeps its connection alive with
20, and a bridge has some noise."""
AFTER_NOTHING = 60.0
"""Seconds after which a VM that was woken by a connection on which nothing was sent is suspended
again, if its own limit is longer: it was a scan of ports."""
FIRST_LOOK = "it was looked at for the first time"


@dataclass(frozen=True)
class Look:
    """What was seen of a VM at one moment. ``work``: the verb of the api that is at it."""

    activity: Activity
    sessions: int = 0
    work: str = ""


def limit_of(vm: Vm, default: float) -> float:
    """Seconds without use after which the VM is suspended; 0 for never."""
    return default if vm.idle_suspend is None else vm.idle_suspend


def why_awake(before: Activity | None, look: Look, idle_cpu: float) -> str:
    """Why the VM is in use, in some words; "" when it is not. ``before``: as of the look before.
    ``idle_cpu``: percent of a processor that are no work."""
    now = look.activity
    if look.sessions:
        return f"{_number(look.sessions, 'session')} (ssh, exec, cp or the console)"
    if now.connections:
        return f"{_number(now.connections, 'connection')} to its ports"
    if look.work:
        return f"{look.work} is under way"
    if now.inhibitor:
        return now.inhibitor
    if now.mute:
        return "its agent does not answer, so nobody knows what it does"
    if before is None or now.at <= before.at or now.cpu_seconds < before.cpu_seconds:
        return FIRST_LOOK
    seconds = now.at - before.at
    percent = (now.cpu_seconds - before.cpu_seconds) / seconds * 100
    if percent > idle_cpu:
        return f"its processor is busy ({percent:.0f} %)"
    if (now.traffic - before.traffic) / seconds > TRAFFIC:
        return "its network is busy"
    return ""


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Idleness:
    """What the looks at all VMs have shown."""

    def __init__(self, idle_cpu: float) -> None:
        self._idle_cpu = idle_cpu
        self._before: dict[str, Activity] = {}
        self._since: dict[str, float] = {}
        self.awake: dict[str, str] = {}
        """VM id -> why it is not idle, as of the last look."""

    def note(self, vm_id: str, look: Look, now: float) -> None:
        """A look at time ``now``, in seconds of any clock that goes on."""
        reason = why_awake(self._before.get(vm_id), look, self._idle_cpu)
        self._before[vm_id] = look.activity
        self.awake[vm_id] = reason
        if reason or vm_id not in self._since:
            self._since[vm_id] = now

    def keep_on(self, vm_id: str, reason: str, now: float) -> None:
        """The VM was due and runs on: its time begins anew."""
        self.awake[vm_id], self._since[vm_id] = reason, now

    def idle_for(self, vm_id: str, now: float) -> float:
        """Seconds without use."""
        return now - self._since.get(vm_id, now)

    def is_due(self, vm_id: str, limit: float, now: float) -> bool:
        """Whether the VM was idle for ``limit`` seconds at every look, the last one included."""
        seen = self._before.get(vm_id)
        if limit <= 0 or seen is None or self.awake.get(vm_id):
            return False
        if seen.for_nothing:
            limit = min(limit, AFTER_NOTHING)
        return self.idle_for(vm_id, now) >= limit

    def keep_only(self, vm_ids: Iterable[str]) -> None:
        """Forget all others: a VM that comes back begins anew."""
        kept = set(vm_ids)
        for known in (self._before, self._since, self.awake):
            for vm_id in known.keys() - kept:
                del known[vm_id]
