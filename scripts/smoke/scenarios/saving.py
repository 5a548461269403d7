"""What a VM is at one moment: put aside, kept to come back to, and copied."""

import time

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, holds
from scripts.smoke.registry import Group, scenario

SAVING = Group("saving")

IN_MEMORY = "/run/only-in-memory"
"""In a tmpfs of the guest: lost with its memory."""
SLEEPER = "cat /run/sleeper"
"""Prints the pid of a program that goes on as long as the guest does."""
BEGIN = f"setsid sleep 86400 </dev/null >/dev/null 2>&1 & echo $! >/run/sleeper; : >{IN_MEMORY}"
OWN = (
    "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; sha256sum </run/banger/host_key"
)
CLOCK_SECONDS = 5.0
"""The guest's clock is asked by a command, which takes a while to start."""


def begin(case: Case) -> str:
    """The shared VM, with a program that runs in it; the program's pid."""
    case.inside(case.vm, BEGIN)
    return case.inside(case.vm, SLEEPER)


def still_runs(case: Case, vm: str, pid: str) -> None:
    """Fails unless the program that ``begin`` has started is there."""
    equal(f"the program in {vm}", case.inside(vm, f"{SLEEPER}; cat /proc/{pid}/comm"),
          f"{pid}\nsleep")  # fmt: skip


@scenario(SAVING)
def suspend_and_resume(case: Case) -> None:
    """A suspended VM has no process, and goes on as the same boot with the right time."""
    vm, pid = case.vm, begin(case)
    boot = case.boot_id(vm)
    case.banger("vm", "suspend", vm)
    suspended = case.show(vm)
    equal("state and pid", (suspended["state"], suspended["pid"]), ("suspended", None))
    refused = case.banger("vm", "exec", vm, "--", "true", status=5)
    contains("the refusal", refused.err, f"banger vm resume {vm}")
    case.banger("vm", "stop", vm)
    case.banger("vm", "prune", "-f")
    equal("state after a stop and a prune", case.state(vm), "suspended")
    case.banger("vm", "resume", vm)
    equal("boot id", case.boot_id(vm), boot)
    still_runs(case, vm, pid)
    away = abs(float(case.inside(vm, "date +%s.%N")) - time.time())
    holds(f"its clock is {away:.1f} s away", away < CLOCK_SECONDS)


@scenario(SAVING)
def what_a_suspended_vm_refuses(case: Case) -> None:
    """Sizes and a restart wait for a resume; without its memory it boots as after a power cut."""
    case.run_vm("aside")
    case.inside("aside", f"echo kept >/root/kept; sync; : >{IN_MEMORY}")
    first = case.boot_id("aside")
    case.banger("vm", "suspend", "aside")
    case.banger("vm", "suspend", "aside")
    for words in (("set", "aside", "--memory", "600M"), ("restart", "aside")):
        contains("the refusal", case.banger("vm", *words, status=4).err, "banger vm resume aside")
    case.banger("vm", "start", "--discard-memory", "aside")
    holds("another boot", case.boot_id("aside") != first)
    left = case.inside("aside", f"cat /root/kept; ls {IN_MEMORY} 2>/dev/null || true")
    equal("what was synced, and no more", left, "kept")
    case.banger("vm", "suspend", "aside")
    case.banger("vm", "delete", "aside")
    equal("VMs", [name for name in case.names() if name == "aside"], [])


@scenario(SAVING)
def snapshot_and_restore(case: Case) -> None:
    """A snapshot brings back disks, memory and programs; what that loses is said before."""
    vm, pid = case.vm, begin(case)
    boot = case.boot_id(vm)
    case.inside(vm, "echo before >/root/kept")  # not synced: it is in memory
    made = case.banger("vm", "snapshot", "create", vm, "clean", "-o", "json").json
    equal("name and memory", (made["name"], made["memory"]), ("clean", True))
    equal("another one of that name",
          case.banger("vm", "snapshot", "create", vm, "clean", status=4).out, "")  # fmt: skip
    case.inside(vm, f"echo after >/root/kept; sync; rm {IN_MEMORY}; kill {pid}")
    refused = case.banger("vm", "snapshot", "restore", vm, "clean", "-o", "json", status=4)
    holds("what would be lost", case.error(refused)["details"]["lost"])
    equal("after the refusal", case.inside(vm, "cat /root/kept"), "after")
    case.banger("vm", "snapshot", "restore", "--yes", f"{vm}/clean")
    equal("state", case.state(vm), "running")
    equal("files", case.inside(vm, f"cat /root/kept; ls {IN_MEMORY}"), f"before\n{IN_MEMORY}")
    equal("boot id", case.boot_id(vm), boot)
    still_runs(case, vm, pid)
    equal("snapshots", case.banger("vm", "snapshot", "list", vm, "-q").out, f"{vm}/clean\n")
    case.banger("vm", "snapshot", "delete", vm, "no-such", "clean", status=3)
    case.banger("vm", "snapshot", "delete", vm, "clean")
    equal("snapshots", case.banger("vm", "snapshot", "list", vm, "-q").out, "")


@scenario(SAVING)
def snapshot_of_disks(case: Case) -> None:
    """A stopped VM has a snapshot of its disks, from which it boots after a restore."""
    case.run_vm("disks")
    case.inside("disks", "echo before >/root/kept; echo before >/etc/kept; sync")
    case.banger("vm", "stop", "disks")
    made = case.banger("vm", "snapshot", "create", "disks", "-o", "json")
    contains("what is said", made.err, "only its disks")
    equal("memory", made.json["memory"], False)
    case.banger("vm", "start", "disks")
    case.inside("disks", "echo after >/root/kept; rm /etc/kept; sync")
    case.banger("vm", "snapshot", "restore", "--yes", "disks", made.json["name"])
    equal("state", case.state("disks"), "stopped")
    case.banger("vm", "start", "disks")
    equal("files", case.inside("disks", "cat /root/kept /etc/kept"), "before\nbefore")
    case.banger("vm", "delete", "disks")
    gone = case.banger("vm", "snapshot", "list", "-o", "json").json
    equal("its snapshots", [shot["name"] for shot in gone if shot["vm_name"] == "disks"], [])


@scenario(SAVING)
def forks(case: Case) -> None:
    """Copies of a running VM run what it ran, each as a machine of its own."""
    vm, pid = case.vm, begin(case)
    made = case.banger("vm", "fork", vm, "twin", "-n", "2", "-o", "json").json
    equal("names", [fork["name"] for fork in made["vms"]], ["twin-1", "twin-2"])
    holds("the source stood still for a moment", 0 < made["pause_seconds"] < 30)
    all_three = (vm, "twin-1", "twin-2")
    for name in all_three:
        still_runs(case, name, pid)
    own = [case.inside(name, OWN).splitlines() for name in all_three]
    for what in zip(*own, strict=True):
        equal(f"different values of {what}", len(set(what)), 3)
    equal("hostnames", [lines[0] for lines in own], list(all_three))
    equal("addresses", len({case.show(name)["address"] for name in all_three}), 3)
    drawn = {case.inside(name, "od -An -N16 -tx1 /dev/urandom") for name in all_three}
    equal("random numbers", len(drawn), 3)
    case.inside("twin-1", "echo own >/root/own")
    equal("another one's files", case.inside("twin-2", "ls /root/own || true"), "")
    listed = case.banger("vm", "list", "--filter", f"origin={vm}", "-o", "name").out.split()
    equal("VMs made of it", sorted(listed), ["twin-1", "twin-2"])
    contains(
        "a name that is taken", case.banger("vm", "fork", vm, "twin-1", status=4).err, "twin-1"
    )
    case.banger("vm", "stop", "twin-2")
    case.banger("vm", "start", "twin-2")
    equal("after a boot of its own", case.inside("twin-2", "hostname"), "twin-2")


@scenario(SAVING)
def run_from(case: Case) -> None:
    """A command runs in a copy of a VM or of a snapshot, and the copy is gone afterwards."""
    vm, pid = case.vm, begin(case)
    case.inside(vm, "echo first >/root/kept")
    case.banger("vm", "snapshot", "create", vm, "first", "-q")
    case.inside(vm, "echo second >/root/kept")
    script = f"cat /root/kept /proc/{pid}/comm; echo risky >/root/kept; exit 42"
    for source, text in ((vm, "second"), (f"{vm}/first", "first")):
        done = case.banger("vm", "run", "--rm", "--from", source, "--", "sh", "-c", script,
                           status=42)  # fmt: skip
        equal(f"in a copy of {source}", done.out, f"{text}\nsleep\n")
    equal("VMs", case.names(), [vm])
    equal("the file of the first", case.inside(vm, "cat /root/kept"), "second")
    case.banger("vm", "run", "--rm", "--from", f"{vm}/no-such", "--", "true", status=3)
    case.banger("vm", "run", "--rm", "--from", vm, "--memory", "1G", "--", "true", status=2)
    case.banger("vm", "run", "--rm", "--from", vm, "--image", "x", "--", "true", status=2)
    equal("VMs", case.names(), [vm])
    case.banger("vm", "snapshot", "delete", vm, "first")
