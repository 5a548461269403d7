"""Processes that end, by order or by SIGKILL: the VM is what must not notice."""

import os
import signal
from dataclasses import dataclass

from scripts.smoke.case import Case
from scripts.smoke.expect import equal, eventually, holds
from scripts.smoke.registry import Group, scenario

CRASHES = Group("crashes")


@dataclass(frozen=True)
class Seen:
    """What identifies a boot: of the VMM's process, and what the guest itself says."""

    pid: int
    boot_id: str


def _seen(case: Case, ref: str) -> Seen:
    return Seen(case.show(ref)["pid"], case.boot_id(ref))


@scenario(CRASHES)
def daemon_stop_with_a_vm_up(case: Case) -> None:
    """The services stop, the VM goes on; the next command starts them and finds it again."""
    before = _seen(case, case.vm)
    case.banger("daemon", "stop")
    case.banger("daemon", "status", status=6)
    holds("the VMM runs on", before.pid in case.stack.home.processes())
    equal("VMM and boot", _seen(case, case.vm), before)
    case.banger("daemon", "status")


@scenario(CRASHES)
def daemon_restart_with_a_vm_up(case: Case) -> None:
    """The same by one command, twice: nothing is worn out by it."""
    before = _seen(case, case.vm)
    for _ in range(2):
        case.banger("daemon", "restart")
    equal("VMM and boot", _seen(case, case.vm), before)
    equal("state", case.state(case.vm), "running")


@scenario(CRASHES)
def supervisor_killed_with_a_vm_up(case: Case) -> None:
    """A killed supervisor is replaced by one that takes the running VM over."""
    before = _seen(case, case.vm)
    old = case.supervisor(case.vm)
    holds("somebody supervises the VM", old)
    os.kill(old or 0, signal.SIGKILL)
    eventually("another supervisor", lambda: case.supervisor(case.vm) not in (None, old))
    equal("VMM and boot", _seen(case, case.vm), before)


@scenario(CRASHES)
def services_killed_with_a_vm_up(case: Case) -> None:
    """Every service and the launcher killed at once: a command starts them, the VM is the same."""
    before = _seen(case, case.vm)
    old = _service_pids(case)
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    def replaced() -> bool:
        listed = case.banger("vm", "list", status=None)
        new = _service_pids(case)
        return listed.status == 0 and len(new) == len(old) and not old & new

    eventually("all services are new", replaced, 30)
    equal("VMM and boot", _seen(case, case.vm), before)


@scenario(CRASHES)
def vmm_killed(case: Case) -> None:
    """A killed VMM is told, with a reason; a command in the VM is refused, and a start works."""
    case.run_vm("hurt")
    case.inside("hurt", "echo kept >/root/kept; sync")
    os.kill(case.show("hurt")["pid"], signal.SIGKILL)
    case.eventually_state("hurt", "failed")
    holds("a reason is shown", case.show("hurt")["reason"])
    case.banger("vm", "exec", "hurt", "--", "true", status=5)
    case.banger("vm", "start", "hurt")
    equal("the synced file", case.inside("hurt", "cat /root/kept"), "kept")


def _service_pids(case: Case) -> set[int]:
    """Of those that run."""
    status = case.banger("daemon", "status", "-o", "json", status=None).json
    return {service["pid"] for service in status["services"] if service["pid"]}
