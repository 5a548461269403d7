"""A VM's states: what a user makes it go through, and what it keeps."""

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, eventually, holds
from scripts.smoke.registry import Group, scenario

LIFECYCLE = Group("lifecycle")

GIB = 2**30


@scenario(LIFECYCLE)
def stop_and_start(case: Case) -> None:
    """What was synced before a stop is there after the start, which is another boot."""
    case.banger("vm", "create", "--no-start", "--name", "keep")
    equal("state before the first start", case.state("keep"), "created")
    case.banger("vm", "start", "keep")
    first = case.boot_id("keep")
    case.inside("keep", "echo system >/etc/kept; echo work >/root/kept; sync")
    case.banger("vm", "stop", "keep")
    stopped = case.show("keep")
    equal("state and pid of a stopped VM", (stopped["state"], stopped["pid"]), ("stopped", None))
    case.banger("vm", "stop", "keep")
    refused = case.banger("vm", "exec", "keep", "--", "true", status=5)
    contains("the refusal", refused.err, "keep")
    case.banger("vm", "start", "keep")
    holds("a start after a stop is another boot", case.boot_id("keep") != first)
    equal("files", case.inside("keep", "cat /etc/kept /root/kept"), "system\nwork")


@scenario(LIFECYCLE)
def set_sizes_of_a_stopped_vm(case: Case) -> None:
    """Processors, memory and disk change while a VM is stopped, and the guest has them."""
    case.banger("vm", "create", "--no-start", "--name", "grown", "--disk-size", "1G")
    case.banger("vm", "set", "grown", "--vcpu", "2", "--memory", "600M", "--disk-size", "2G")
    row = case.show("grown")
    sizes = (row["vcpu"], row["memory_mib"], row["disk_bytes"])
    equal("sizes shown", sizes, (2, 600, 2 * GIB))
    shrunk = case.banger("vm", "set", "grown", "--disk-size", "1G", status=2)
    contains("the refusal to shrink", shrunk.err, "shrink")
    case.banger("vm", "start", "grown")
    equal("processors in the guest", case.inside("grown", "nproc"), "2")
    memory = int(case.inside("grown", "awk '/MemTotal/ {print $2}' /proc/meminfo")) / 1024
    holds(f"{memory:.0f} MiB in the guest are of 600", 512 < memory <= 600)
    disk = int(case.inside("grown", "df -B1 --output=size /root | tail -1")) / GIB
    holds(f"/root has {disk:.2f} GiB of 2", 1.8 < disk <= 2)


@scenario(LIFECYCLE)
def set_sizes_of_a_running_vm(case: Case) -> None:
    """A running VM keeps its sizes: a conflict that says to stop it."""
    vm = case.vm
    before = case.show(vm)
    for option, value in (("--vcpu", "2"), ("--memory", "700M"), ("--disk-size", "9G")):
        refused = case.banger("vm", "set", vm, option, value, status=4)
        contains("the refusal", refused.err, "stop")
    after = case.show(vm)
    for field in ("vcpu", "memory_mib", "disk_bytes", "boot_id"):
        equal(field, after[field], before[field])


@scenario(LIFECYCLE)
def restart(case: Case) -> None:
    """A restart is another boot, and the disks are as they were."""
    vm = case.vm
    first = case.boot_id(vm)
    case.inside(vm, "echo here >/root/kept; sync")
    case.banger("vm", "restart", vm)
    second = case.boot_id(vm)
    holds("another boot", second != first)
    equal("the boot id shown", case.show(vm)["boot_id"], second)
    equal("the file", case.inside(vm, "cat /root/kept"), "here")


@scenario(LIFECYCLE)
def kill(case: Case) -> None:
    """Kill ends the VMM at once, with the signal that was named; the VM is stopped and starts."""
    case.run_vm("killed")
    contains("a signal there is not", case.banger(
        "vm", "kill", "killed", "--signal", "NOSUCH", status=2).err, "NOSUCH")  # fmt: skip
    equal("state after it", case.state("killed"), "running")
    case.banger("vm", "kill", "killed")
    equal("state after KILL", case.state("killed"), "stopped")
    case.banger("vm", "start", "killed")
    case.banger("vm", "kill", "--signal", "TERM", "killed")
    equal("state after TERM", case.state("killed"), "stopped")
    again = case.banger("vm", "kill", "killed", status=None)
    holds("a kill of a stopped VM is told, or nothing", again.status in (0, 4, 5))


@scenario(LIFECYCLE)
def pause_and_resume(case: Case) -> None:
    """A paused guest stands still, and goes on as the same boot."""
    vm = case.vm
    first = case.boot_id(vm)
    case.banger("vm", "pause", vm)
    equal("state", case.state(vm), "paused")
    holds("no command runs in it", case.banger(
        "vm", "exec", vm, "--", "true", status=None).status in (4, 5))  # fmt: skip
    case.banger("vm", "resume", vm)
    equal("state", case.state(vm), "running")
    equal("boot id", case.boot_id(vm), first)


@scenario(LIFECYCLE)
def prune_spares_what_runs(case: Case) -> None:
    """Prune deletes what does not run, and nothing else; without a terminal only with -f."""
    vm = case.vm
    case.banger("vm", "create", "--no-start", "--name", "idle")
    case.banger("vm", "prune", status=2)
    equal("VMs after a refusal", sorted(case.names()), ["idle", vm])
    pruned = case.banger("vm", "prune", "-f", "-o", "json").json
    equal("pruned", [(vm["name"], vm["ok"]) for vm in pruned], [("idle", True)])
    equal("VMs left", case.names(), [vm])
    equal("state", case.state(vm), "running")


@scenario(LIFECYCLE)
def guest_powers_itself_off(case: Case) -> None:
    """A guest that powers itself off leaves a stopped VM, and no process."""
    case.run_vm("tired")
    pid = case.show("tired")["pid"]
    # As soon as it listens: the guest answers before its systemd does, and systemctl takes a
    # session from before for one in a chroot.
    booted = "until [ -d /run/systemd/system ]; do sleep 0.2; done"
    script = f"{booted}; until systemctl poweroff --force 2>/dev/null; do sleep 0.2; done"
    case.banger("vm", "exec", "tired", "--", "sh", "-c", script, status=None)
    case.eventually_state("tired", "stopped", 90)
    eventually("the VMM is gone", lambda: pid not in case.stack.home.processes())
