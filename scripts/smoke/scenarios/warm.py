"""VMs that are ready before they are asked for, and VMs that sleep until they are used."""

import time
from typing import Any

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, eventually, holds
from scripts.smoke.registry import Group, scenario

WARM = Group(
    "warm",
    config="""\
templates.limit = "1G"
templates.quiet_seconds = 0
templates.most_pressure = 100
warm_pool = 1
""",
)
OWN = (
    "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id;"
    " sha256sum </run/banger/host_key; od -An -N16 -tx1 /dev/urandom"
)
CLOCK_SECONDS = 5.0
"""The guest's clock is asked by a command, which takes a while to start."""
MADE_SECONDS = 240.0
"""For a template: a boot until systemd has finished, and a save."""
SLEEP_SECONDS = 90.0
"""Until a VM with the shortest limit that is looked at sleeps."""


def templates(case: Case) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = case.banger("template", "list", "-o", "json").json
    return found


def a_vm_waits(case: Case) -> bool:
    return any(each["pool"] for each in templates(case))


@scenario(WARM)
def from_a_template_and_from_the_pool(case: Case) -> None:
    """What was booted once is ready the next time; each VM is a machine of its own."""
    case.run_vm("cold", "--cold")
    equal("its template", case.show("cold")["template"], "")
    case.banger("vm", "run", "--rm", "--", "true")  # boots, and a template is wanted from now on
    eventually("a VM waits", lambda: a_vm_waits(case), MADE_SECONDS)
    (template,) = templates(case)
    case.run_vm("first")
    first = case.show("first")
    equal("first is of", (first["template"], first["from_pool"]), (template["key"], True))
    eventually("another one waits", lambda: a_vm_waits(case), MADE_SECONDS)
    done = case.banger("vm", "run", "--rm", "--", "sh", "-c",
                       "systemctl is-system-running; exit 42", status=42)  # fmt: skip
    equal("the system", done.out, "running\n")
    case.run_vm("second")
    second = case.show("second")
    equal("second is of", second["template"], template["key"])
    own = [case.inside(name, OWN).splitlines() for name in ("cold", "first", "second")]
    for what in zip(*own, strict=True):
        equal(f"different values of {what}", len(set(what)), 3)
    for name in ("first", "second"):
        away = abs(float(case.inside(name, "date +%s.%N")) - time.time())
        holds(f"the clock of {name} is {away:.1f} s away", away < CLOCK_SECONDS)
    equal("VMs", sorted(case.names()), ["cold", "first", "second"])


@scenario(WARM)
def a_template_that_is_not_wanted(case: Case) -> None:
    """--cold boots although there is a template; a damaged one is passed over; prune deletes."""
    case.banger("vm", "run", "--rm", "--", "true")
    eventually("there is a template", lambda: templates(case), MADE_SECONDS)
    key = templates(case)[0]["key"]
    case.run_vm("booted", "--cold")
    equal("its template", case.show("booted")["template"], "")
    pruned = case.banger("template", "prune", "--all", "-o", "json").json
    equal("what was pruned", [each["name"] for each in pruned["pruned"]], [key])


@scenario(WARM)
def asleep_until_used(case: Case) -> None:
    """A VM that nobody uses is suspended; a lock in it keeps it awake; a command wakes it."""
    case.run_vm("drowsy", "--idle-suspend", "5s")
    begun = case.boot_id("drowsy")
    eventually("it sleeps", lambda: case.state("drowsy") == "suspended", SLEEP_SECONDS)
    case.banger("vm", "list")
    equal("a list does not wake it", case.state("drowsy"), "suspended")
    done = case.banger("vm", "exec", "drowsy", "--", "cat", "/proc/sys/kernel/random/boot_id")
    equal("the same boot", done.out.strip(), begun)
    contains("what is said", done.err, "asleep")
    equal("its state", case.state("drowsy"), "running")
