"""``banger vm run``: the one command."""

import signal
import time

from scripts.smoke.case import BOOT, Case
from scripts.smoke.expect import contains, equal, holds, scaled
from scripts.smoke.registry import Group, scenario

RUNS = Group("runs")


@scenario(RUNS)
def bare_run(case: Case) -> None:
    """A command in a new machine: its output, nothing else on stdout, and no VM afterwards."""
    done = case.banger("vm", "run", "--rm", "--", "uname", "-s")
    equal("stdout", done.out, "Linux\n")
    contains("stderr", done.err, "spec: 1 vcpu | 512 MiB")
    equal("VMs", case.names(), [])
    equal("files", case.stack.home.vm_files(), [])


@scenario(RUNS)
def run_gives_the_exit_status(case: Case) -> None:
    """Exit status, stdin, environment and arguments pass as they are."""
    script = 'cat; printf "%s|" "$A" "$@"; echo err >&2; exit 42'
    words = ("a b", "'", "$HOME", "*", "")
    done = case.banger("vm", "run", "--rm", "--env", "A=x y", "--", "sh", "-c", script, "sh",
                       *words, stdin=b"typed\n", status=42)  # fmt: skip
    equal("stdout", done.out, "typed\nx y|" + "".join(f"{word}|" for word in words))
    equal("last of stderr", done.err.splitlines()[-1], "err")


@scenario(RUNS)
def run_without_rm_leaves_the_vm(case: Case) -> None:
    """Without --rm the VM runs on under its name, and a detached one too."""
    case.banger("vm", "run", "--name", "stays", "--", "true")
    equal("state", case.state("stays"), "running")
    refused = case.banger("vm", "run", "-d", "--rm", status=2)
    contains("the refusal", refused.err, "--rm")
    equal("VMs", case.names(), ["stays"])


@scenario(RUNS)
def run_out_of_time(case: Case) -> None:
    """--timeout ends the command with status 7, and --rm still deletes the VM."""
    began = time.monotonic()
    done = case.banger("vm", "run", "--rm", "--timeout", "2", "--", "sleep", "600", status=7)
    contains("stderr", done.err, "2 s")
    holds("long before the command's own end", time.monotonic() - began < scaled(200))
    equal("VMs", case.names(), [])


@scenario(RUNS)
def ctrl_c_with_rm(case: Case) -> None:
    """Ctrl-C reaches the guest's command, whose status counts, and --rm deletes the VM."""
    script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'
    process = case.start("vm", "run", "--rm", "--name", "broken-off", "--", "sh", "-c", script)
    assert process.stdout
    equal("first line", process.stdout.readline(), b"ready\n")
    process.send_signal(signal.SIGINT)
    done = case.finish(process)
    equal("status and output", (done.status, done.out), (9, "caught\n"))
    equal("VMs", case.names(), [])


@scenario(RUNS)
def ctrl_c_during_the_boot(case: Case) -> None:
    """Ctrl-C before the machine is there cancels it and leaves nothing."""
    process = case.start("vm", "run", "--rm", "--name", "too-early", "--", "true")
    assert process.stderr
    while (line := process.stderr.readline()) and b"boot:" not in line:
        continue
    holds("the boot was announced", line)
    process.send_signal(signal.SIGINT)
    equal("exit status", case.finish(process).status, 130)
    equal("VMs", case.names(), [])
    equal("files", case.stack.home.vm_files(), [])


@scenario(RUNS)
def four_at_once(case: Case) -> None:
    """Four runs at the same moment: each has its own machine, address and status."""
    script = "cat /proc/sys/kernel/random/boot_id; exit {}"
    started = [
        case.start("vm", "run", "--name", f"one-of-{n}", "--", "sh", "-c", script.format(n))
        for n in range(4)
    ]
    done = [case.finish(process, seconds=BOOT) for process in started]
    equal("statuses", [each.status for each in done], [0, 1, 2, 3])
    equal("different machines", len({each.out for each in done}), 4)
    rows = case.banger("vm", "list", "-o", "json").json
    equal("different addresses", len({row["address"] for row in rows}), 4)
    equal("all run", {row["state"] for row in rows}, {"running"})
    deleted = case.banger("vm", "delete", *sorted(case.names()), "-o", "json").json
    equal("deleted, in the order given", [vm["name"] for vm in deleted],
          [f"one-of-{n}" for n in range(4)])  # fmt: skip
