"""Suspend, snapshots, forks and copies of a real guest: one VM, in the order of a working day."""

import json
import os
import shutil
import signal
import time
from typing import Any

import pytest

from shared.vm import files
from tests.e2e.own_machines import assert_own_machines
from tests.e2e.test_lifecycle import show
from tests.home import Home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WORK = r"""
cat >/run/worker.pl <<'END'
open(my $open, ">", "/root/open"); $open->autoflush(1);
for (my $i = 1; ; $i++) {
    open(my $count, ">", "/run/count.new"); print $count "$i\n"; close($count);
    rename("/run/count.new", "/run/count"); print $open "line\n"; select(undef, undef, undef, 0.05);
}
END
perl -MIO::Handle /run/worker.pl </dev/null >/dev/null 2>&1 &
echo $! >/run/worker
until [ -e /run/count ]; do sleep 0.05; done
cat /proc/sys/kernel/random/boot_id
"""
"""A program that counts, and holds a file open that it writes to. One process: a shell with its
sleeps keeps an emulated processor busy."""
GOES_ON = """
kill -0 $(cat /run/worker) || exit 1
one=$(cat /run/count) lines=$(wc -l </root/open)
until [ $(cat /run/count) -gt $one ] && [ $(wc -l </root/open) -gt $lines ]; do sleep 0.05; done
"""
IDENTITY = """
cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id
cat /sys/class/net/eth0/address
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '
cksum </run/banger/host_key
"""
FILL = "for size in 64k 1k; do dd if=/dev/zero of=/fill$size bs=$size 2>/dev/null; done; sync"
"""Until nothing fits any more."""
WIRED = "date +%s.%N"


def sh(home: Home, name: str, script: str) -> str:
    return home.banger("vm", "exec", name, "--", "sh", "-c", script).stdout


def state(home: Home, name: str) -> str:
    return str(show(home, name)["state"])


def clock_error(home: Home, name: str) -> float:
    """By how much the guest's clock is off, less what the question takes at most."""
    before = time.time()
    guest = float(sh(home, name, WIRED))
    after = time.time()
    return max(before - guest, guest - after, 0.0)


def saved(home: Home) -> list[str]:
    """Hidden directories of what was broken off, and memory of VMs that run."""
    root = home.paths.state / "vms"
    names = (".banger*", files.SUSPENDED, files.RESTORING)
    return [str(path) for name in names for path in root.rglob(name)]


def test_a_guest_is_suspended_snapshotted_forked_and_copied(home: Home) -> None:
    home.banger("vm", "create", "--name", "day", "--memory", "512M", "--overlay-size", "64M")
    boot_id = sh(home, "day", WORK).strip()

    # Suspended, through a reboot of the host, as far as its files tell.
    home.banger("vm", "suspend", "day")
    assert (state(home, "day"), home.vm_processes()) == ("suspended", {})
    assert home.banger("vm", "exec", "day", "--", "true", check=False).returncode == 5
    home.banger("daemon", "stop")
    shutil.rmtree(home.paths.run / "vms")
    home.banger("vm", "resume", "day")
    assert show(home, "day")["boot_id"] == boot_id
    sh(home, "day", GOES_ON)
    assert clock_error(home, "day") < 0.05
    assert saved(home) == []

    # A snapshot, and back to it.
    made = json.loads(home.banger("vm", "snapshot", "create", "day", "noon", "-o", "json").stdout)
    assert made["memory"]
    sh(home, "day", GOES_ON)
    sh(home, "day", "kill $(cat /run/worker); rm /root/open; echo gone >/etc/gone; sync")
    home.banger("vm", "snapshot", "restore", "day", "noon", "--yes")
    assert sh(home, "day", "cat /proc/sys/kernel/random/boot_id").strip() == boot_id
    sh(home, "day", f"{GOES_ON}test ! -e /etc/gone")

    # Two forks, which are three machines with the first. Its clock is a month behind, and its disk
    # is full.
    sh(home, "day", f"date -s '-31 days'; {FILL}")
    forked = json.loads(home.banger("vm", "fork", "day", "copy", "-n", "2", "-o", "json").stdout)
    assert forked["pause_seconds"] < 2
    names = ("day", "copy-1", "copy-2")
    told = [sh(home, name, f"{IDENTITY}rm /fill*; {GOES_ON}").split("\n") for name in names]
    hostnames, *others = list(zip(*told, strict=True))[:6]
    assert hostnames == names
    for different in others:
        assert len(set(different)) == 3, different
    for used in json.loads(home.banger("vm", "stats", *names, "-o", "json").stdout):
        assert 0 < used["unique_memory_bytes"] <= used["guest_memory_bytes"] < 512 << 20
    assert_own_machines(home, "copy-1", "copy-2")
    home.banger("vm", "delete", "copy-1", "copy-2")

    # A copy for one command.
    run = ("vm", "run", "--rm", "--from", "day/noon", "--", "sh", "-c", f"{GOES_ON}hostname")
    assert home.banger(*run).stdout.strip() not in ("", "day")
    assert len(home.banger("vm", "list", "-q").stdout.split()) == 1

    # A supervisor that is killed while it saves.
    with home.start("vm", "suspend", "day") as process:
        kill_supervisor(home, "day")
        process.communicate(timeout=120)
    eventually(lambda: state(home, "day") in ("running", "suspended"), patience=30)
    if state(home, "day") == "suspended":
        home.banger("vm", "start", "day")
    sh(home, "day", GOES_ON)
    assert saved(home) == []
    home.banger("vm", "delete", "day")


def kill_supervisor(home: Home, name: str) -> None:
    vm: dict[str, Any] = show(home, name)
    lock = home.paths.vm_state(vm["id"]) / files.LOCK
    os.kill(int(lock.read_text()), signal.SIGKILL)
