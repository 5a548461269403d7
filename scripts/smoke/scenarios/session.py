"""Work in a running guest: commands, files, the console."""

import hashlib
import os

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, eventually, holds
from scripts.smoke.registry import Group, scenario

SESSION = Group("session")

MEGABYTES = 8


@scenario(SESSION)
def exec_statuses(case: Case) -> None:
    """The exit status is the guest command's own, 128+N for a signal."""
    for script, status in (("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137)):
        case.banger("vm", "exec", case.vm, "--", "sh", "-c", script, status=status)
    case.banger("vm", "exec", case.vm, "--", "no-such-program", status=127)


@scenario(SESSION)
def exec_directory_and_environment(case: Case) -> None:
    """-w and -e are what the command finds; a directory that is not there is told."""
    done = case.banger("vm", "exec", case.vm, "-w", "/etc", "-e", "A=x y", "-e", "B='", "--",
                       "sh", "-c", 'echo "$A$B"; pwd')  # fmt: skip
    equal("stdout", done.out, "x y'\n/etc\n")
    missing = case.banger("vm", "exec", case.vm, "-w", "/not/there", "--", "true", status=None)
    holds("a directory that is not there is no success", missing.status)
    contains("stderr", missing.err, "/not/there")


@scenario(SESSION)
def streams(case: Case) -> None:
    """stdout and stderr stay apart, and megabytes pass unchanged both ways."""
    done = case.banger("vm", "exec", case.vm, "--", "sh", "-c", "echo out; echo err >&2")
    equal("the streams", (done.out, done.err), ("out\n", "err\n"))
    sent = os.urandom(MEGABYTES * 1000 * 1000)
    echoed = case.banger("vm", "exec", case.vm, "--", "cat", stdin=sent)
    equal("what came back", hashlib.sha256(echoed.stdout).digest(), hashlib.sha256(sent).digest())


@scenario(SESSION)
def ssh_command(case: Case) -> None:
    """``vm ssh VM CMD…`` runs a command, as exec does."""
    done = case.banger("vm", "ssh", case.vm, "sh", "-c", "hostname; exit 5", status=5)
    equal("stdout", done.out, "shared\n")


@scenario(SESSION)
def copy_both_ways(case: Case) -> None:
    """A file goes in and comes out again, with its content and mode."""
    content = os.urandom(1000 * 1000)
    (case.directory / "in").write_bytes(content)
    (case.directory / "in").chmod(0o750)
    case.banger("vm", "cp", "in", f"{case.vm}:copied")
    equal("mode there", case.inside(case.vm, "stat -c %a /root/copied"), "750")
    case.banger("vm", "cp", f"{case.vm}:/root/copied", "out")
    out = case.directory / "out"
    equal("content", hashlib.sha256(out.read_bytes()).digest(), hashlib.sha256(content).digest())
    equal("mode here", oct(out.stat().st_mode & 0o777), "0o750")


@scenario(SESSION)
def copy_a_directory(case: Case) -> None:
    """A tree goes in and comes out as it was, into a directory that is there and under a name."""
    tree = case.directory / "tree"
    (tree / "below" / "deep").mkdir(parents=True)
    (tree / "a file").write_text("one")
    (tree / "below" / "deep" / "two").write_text("two")
    case.banger("vm", "cp", "tree", f"{case.vm}:/srv")
    equal(
        "there", case.inside(case.vm, "cat '/srv/tree/a file' /srv/tree/below/deep/two"), "onetwo"
    )
    case.banger("vm", "cp", f"{case.vm}:/srv/tree", "back")
    back = case.directory / "back"
    found = sorted(str(path.relative_to(back)) for path in back.rglob("*"))
    equal("back", found, ["a file", "below", "below/deep", "below/deep/two"])


@scenario(SESSION)
def copy_what_is_not_there(case: Case) -> None:
    """A missing file is named, on either side, and nothing is made."""
    there = case.banger("vm", "cp", f"{case.vm}:/not/there", "got", status=3)
    contains("stderr", there.err, "/not/there")
    holds("nothing was made", not (case.directory / "got").exists())
    here = case.banger("vm", "cp", "not-here", f"{case.vm}:", status=None)
    holds("no success", here.status)
    contains("stderr", here.err, "not-here")


@scenario(SESSION)
def logs(case: Case) -> None:
    """The log has what the console showed, the supervisor's what it did."""

    def offered() -> bool:
        return "press ENTER to login" in case.banger("vm", "logs", case.vm).out

    eventually("login is offered", offered, 90)
    lines = case.banger("vm", "logs", case.vm, "--supervisor").out
    holds("the supervisor has logged", len(lines.splitlines()) > 1)


@scenario(SESSION)
def console(case: Case) -> None:
    """What is piped into the console is typed there: ENTER logs root in, who then has a shell."""

    def answered() -> bool:
        typed = b"\necho $(id -un)-$((40 + 2))\n"
        return b"root-42" in case.banger("vm", "console", case.vm, stdin=typed).stdout

    eventually("root's shell answers", answered, 90)


@scenario(SESSION)
def stats(case: Case) -> None:
    """What a VM uses: more processor time the second time, within its sizes."""
    first = case.banger("vm", "stats", case.vm, "-o", "json").json[0]
    case.inside(case.vm, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    second = case.banger("vm", "stats", case.vm, "-o", "json").json[0]
    holds("processor time grows", second["cpu_seconds"] > first["cpu_seconds"])
    equal("memory", second["memory_bytes"], 512 * 2**20)
    holds("memory is held", second["resident_bytes"] > 0)
    holds("disks are sparse", 0 < second["disk_allocated"] < second["disk_apparent"])
    contains("the table", case.banger("vm", "stats").out, case.vm)


@scenario(SESSION)
def health(case: Case) -> None:
    """A VM that has booted is healthy, check by check."""

    def healthy() -> bool:
        done = case.banger("vm", "health", case.vm, "-o", "json", status=None)
        return done.status == 0

    eventually("the VM is healthy", healthy, 120)
    checks = case.banger("vm", "health", case.vm, "-o", "json").json[0]["checks"]
    holds("several checks, all well", len(checks) > 2 and all(check["ok"] for check in checks))


@scenario(SESSION)
def lists(case: Case) -> None:
    """list, ps and show agree, in every form."""
    shown = case.show(case.vm)
    listed = case.banger("vm", "list", "-o", "json").json
    equal("list", [(vm["id"], vm["state"]) for vm in listed], [(shown["id"], "running")])
    equal("ps -q", case.banger("vm", "ps", "-q").out.split(), [shown["id"]])
    equal("names", case.banger("vm", "ls", "-o", "name").out.split(), [case.vm])
    contains("the table", case.banger("vm", "list").out, shown["address"])
    equal("VMM", shown["pid"] in case.stack.home.processes(), True)
    equal("boot id", shown["boot_id"], case.boot_id(case.vm))
    equal("network mode", shown["network"], case.network)
