"""Create, start, stop, delete, and what survives which crash."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.home import Home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

MACHINE = """
df -BG --output=size / /root | tail -n 2 | tr -d ' '
grep -c own /etc/hosts
systemctl start dbus 2>/dev/null && ! [ -S /run/systemd/private ] && echo started nothing
until systemctl is-active systemd-tmpfiles-setup 2>/dev/null; do sleep 0.1; done | tail -n 1
ls /tmp/early
"""
"""What a guest is asked that was stopped, given larger disks, and started. Its answers: FINE."""
FINE = """9G
10G
1
active
/tmp/early
"""
BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")


def show(home: Home, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", name, "-o", "json").stdout)
    return shown


def superblock(disk: Path) -> str:
    argv = ["dumpe2fs", "-h", str(disk)]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout


def test_run_gives_the_status_and_leaves_nothing(home: Home) -> None:
    done = home.banger(
        "vm", "run", "--rm", "--env", "A=b c", "--", "sh", "-c", 'echo "$A"; exit 42', check=False
    )
    assert (done.returncode, done.stdout) == (42, "b c\n")
    assert "spec: 1 vcpu" in done.stderr
    assert not home.vm_files()


def test_what_was_synced_is_there_after_stop_and_start(home: Home) -> None:
    home.banger("vm", "create", "--no-start", "--name", "keep", "--memory", "512M")
    assert show(home, "keep")["state"] == "created"
    home.banger("vm", "start", "keep")
    first = home.banger("vm", "exec", "keep", "--", *BOOT_ID).stdout
    write = "echo system >/etc/kept; echo work >/root/kept; echo 192.0.2.1 own >>/etc/hosts; sync"
    home.banger("vm", "exec", "keep", "--", "sh", "-c", write)
    home.banger("vm", "exec", "keep", "--", "sh", "-c", "touch /tmp/left; passwd -l root; sync")
    home.banger("vm", "stop", "keep")
    for disk in sorted((home.paths.state / "vms").glob("*/*.ext4")):
        assert "needs_recovery" not in superblock(disk)
    home.banger("vm", "set", "keep", "--overlay-size", "9G", "--disk-size", "10G")
    stopped = show(home, "keep")
    assert (stopped["state"], stopped["pid"]) == ("stopped", None)
    assert not home.vm_processes()
    home.banger("vm", "start", "keep")
    home.banger("vm", "exec", "keep", "--", "sh", "-c", "test ! -e /tmp/left && touch /tmp/early")
    assert home.banger("vm", "exec", "keep", "--", *BOOT_ID).stdout != first
    kept = home.banger("vm", "exec", "keep", "--", "cat", "/etc/kept", "/root/kept").stdout
    assert kept == "system\nwork\n"
    assert home.banger("vm", "exec", "keep", "--", "sh", "-c", MACHINE).stdout == FINE
    home.banger("vm", "delete", "keep")
    assert home.banger("vm", "show", "keep", check=False).returncode == 3


def test_a_running_vm_survives_the_crash_of_every_process_of_ours(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "lasting")
    before = show(home, "lasting")
    with home.start("vm", "exec", "lasting", "--", "cat", stdin=subprocess.PIPE) as session:
        assert session.stdin
        assert session.stdout
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        ours = [pid for pid, line in home.processes().items() if "services." in line]
        assert len(ours) >= 8, "six services, launcher and supervisor"
        for pid in ours:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: _answers(home, "lasting", before["pid"]), patience=30)
        after = show(home, "lasting")
        assert (after["state"], after["pid"]) == ("running", before["pid"])
        assert after["boot_id"] == before["boot_id"]
        session.stdin.write(b"after\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"after\n"
        session.stdin.close()
        assert session.wait(timeout=30) == 0
    assert home.banger("vm", "exec", "lasting", "--", *BOOT_ID).stdout.strip() == before["boot_id"]
    home.banger("vm", "stop", "lasting")
    home.banger("vm", "delete", "lasting")


def _answers(home: Home, name: str, pid: int) -> bool:
    done = home.banger("vm", "show", name, "-o", "json", check=False)
    return done.returncode == 0 and json.loads(done.stdout)["pid"] == pid


def test_daemon_stop_leaves_vms_running(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "stays")
    pid = show(home, "stays")["pid"]
    home.banger("daemon", "stop")
    assert Path(f"/proc/{pid}").exists()
    assert show(home, "stays")["pid"] == pid, "the next call starts the services again"
    home.banger("vm", "delete", "stays")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), patience=5)


def test_a_killed_vmm_is_reported_and_its_vm_starts_again(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "killed", "--", check=True)
    os.kill(show(home, "killed")["pid"], signal.SIGKILL)
    eventually(lambda: show(home, "killed")["state"] == "failed", patience=10)
    failed = show(home, "killed")
    assert failed["state"] == "failed"
    assert failed["reason"]
    refused = home.banger("vm", "exec", "killed", "--", "true", check=False)
    assert refused.returncode == 5
    home.banger("vm", "start", "killed")
    assert home.banger("vm", "exec", "killed", "--", "echo", "again").stdout == "again\n"
    home.banger("vm", "delete", "killed")


def test_a_guest_that_powers_itself_off_is_stopped(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "tired")
    _ask_systemd(home, "tired", "poweroff")
    eventually(lambda: show(home, "tired")["state"] == "stopped", patience=60)
    home.banger("vm", "delete", "tired")


def test_a_guest_that_reboots_is_booted_again(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "again")
    first = show(home, "again")["boot_id"]
    _ask_systemd(home, "again", "reboot")
    eventually(lambda: _running_with_another_boot(home, "again", first), patience=180)
    home.banger("vm", "delete", "again")


def _ask_systemd(home: Home, name: str, verb: str) -> None:
    """As soon as it listens: the guest answers before its systemd does, and systemctl takes a
    session from before for one in a chroot."""
    booted = "until [ -d /run/systemd/system ]; do sleep 0.2; done"
    script = f"{booted}; until systemctl {verb} --force; do sleep 0.2; done"
    home.banger("vm", "exec", name, "--", "sh", "-c", script, check=False)


def _running_with_another_boot(home: Home, name: str, boot_id: str) -> bool:
    shown = show(home, name)
    return shown["state"] == "running" and shown["boot_id"] not in ("", boot_id)


def test_ctrl_c_during_the_boot_with_rm_leaves_nothing(home: Home) -> None:
    with home.start("vm", "run", "--rm", "--name", "stopped-early", "--", "true") as process:
        assert process.stderr
        while b"boot:" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
    assert home.banger("vm", "list", "-q").stdout == ""
