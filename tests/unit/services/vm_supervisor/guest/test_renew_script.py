"""guest/rootfs/renew in a scratch root: what a copy becomes, and what of its user's it keeps."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted.scratch_guest import ScratchGuest
from tests.waiting import eventually

BEFORE = """hostname=old
machine_id=11111111111111111111111111111111
mac=02:00:00:00:00:01
address=10.0.2.15/24
address6=''
gateway=''
resolvers=10.0.3.3
outside_mac=02:00:00:00:00:02
outside_address=10.0.3.15/24
"""
AFTER = BEFORE.replace("old", "new").replace("1" * 32, "2" * 32).replace("00:00:0", "00:01:0")
KEYS = {"host_key": "NEW KEY\n", "authorized_keys": "ssh-ed25519 NEW\n"}
BOOT = "4b9ee2b5-26a2-4b3c-9a6c-1f5b0c6a4a11"

# As sshd(8) has it: a HUP removes the pid file, and it is there again when it listens. Its keys are
# those of then.
SSHD = """
import os, pathlib, signal, sys
run = pathlib.Path(sys.argv[1])
def restart(*_):
    (run / "sshd.pid").unlink()
    (run / "keys").write_text((run / "host_key").read_text())
    (run / "sshd.pid").write_text(f"{os.getpid()}\\n")
signal.signal(signal.SIGHUP, restart)
(run / "sshd.pid").write_text(f"{os.getpid()}\\n")
print(flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def guest(tmp_path: Path) -> ScratchGuest:
    guest = ScratchGuest(tmp_path, BEFORE)
    guest.add_device("br0", "02:00:00:00:00:01", physical=False)  # a bridge of the user's
    guest.add_device("eth0", "02:00:00:00:00:01")
    guest.add_device("eth1", "02:00:00:00:00:02")
    return guest


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def renewed(guest: ScratchGuest, identity: str = AFTER, template: str = "") -> None:
    done = guest.run(
        "renew", b"MESSAGE", identity=identity, boot_id=BOOT, template=template, **KEYS
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_keys_and_devices_are_the_copys_own(guest: ScratchGuest) -> None:
    renewed(guest)
    for place in ("run/initramfs/banger", "run/banger"):
        assert guest.read(f"{place}/identity") == AFTER
        assert guest.read(f"{place}/host_key") == "NEW KEY\n"
        assert guest.read(f"{place}/authorized_keys") == "ssh-ed25519 NEW\n"
        assert (guest.root / place / "host_key").stat().st_mode & 0o777 == 0o600
    assert guest.read("etc/machine-id") == "2" * 32 + "\n"
    assert guest.read("etc/hostname") == guest.read("proc/sys/kernel/hostname") == "new\n"
    assert guest.read("etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 new.vm new\n"
    assert guest.read("run/banger/boot_id") == f"{BOOT}\n"
    assert guest.noted == [
        "adjust /dev/random eth0 eth1",
        "mount --bind /run/banger/boot_id /proc/sys/kernel/random/boot_id",
    ]
    assert guest.read("message") == "MESSAGE"


def test_what_the_owner_wrote_is_kept_but_for_the_name(guest: ScratchGuest) -> None:
    guest.write("etc/hosts", "127.0.1.1\told.vm old alias\n10.9.9.9 db\n# no end of line")
    guest.write("etc/hostname", "chosen\n")
    guest.write("etc/resolv.conf", "nameserver 9.9.9.9\n")
    guest.write("var/lib/dbus/machine-id", "1" * 32 + "\n")
    renewed(guest, AFTER.replace("10.0.3.3", "10.77.0.1"))
    assert guest.read("etc/hosts") == "127.0.1.1 new.vm new\n10.9.9.9 db\n# no end of line\n"
    assert guest.read("etc/hostname") == "new\n"
    assert guest.read("etc/resolv.conf") == "nameserver 9.9.9.9\n"
    assert guest.read("var/lib/dbus/machine-id") == "2" * 32 + "\n"


def test_other_addresses_and_resolvers_are_taken(guest: ScratchGuest) -> None:
    bridge = AFTER.replace("10.0.2.15/24", "10.77.0.9/24").replace("10.0.3.3", "10.77.0.1")
    bridge = bridge.replace("outside_mac=02:00:01:00:00:02", "outside_mac=")
    bridge = bridge.replace("gateway=''", "gateway=10.77.0.1")
    renewed(guest, bridge.replace("address6=''", "address6=fd00::9/64"))
    assert guest.noted[0] == "adjust /dev/random eth0"
    assert guest.noted[2:] == [
        "ip -4 address flush dev eth0",
        "ip address add 10.77.0.9/24 brd + dev eth0",
        "ip link set eth0 up",
        "ip -6 address add fd00::9/64 dev eth0",
        "ip route add default via 10.77.0.1",
    ]
    assert guest.read("etc/resolv.conf") == "nameserver 10.77.0.1\n"


def test_a_copy_of_a_copy_has_its_boot_id_already_in_place(guest: ScratchGuest) -> None:
    renewed(guest)
    (guest.root / "noted").unlink()
    renewed(guest)
    assert guest.noted == ["adjust /dev/random"]


def test_sshd_has_the_new_key_and_no_connection_of_before(
    guest: ScratchGuest, processes: list[subprocess.Popen[bytes]]
) -> None:
    run = guest.root / "run/banger"
    sshd = subprocess.Popen([sys.executable, "-c", SSHD, run], stdout=subprocess.PIPE)
    session = subprocess.Popen(["sleep", "60"])
    processes += [sshd, session]
    assert sshd.stdout
    sshd.stdout.readline()
    children = f"proc/{sshd.pid}/task/{sshd.pid}/children"
    guest.write(children, f"{session.pid} ")  # as the kernel writes it, without an end of line
    renewed(guest)
    assert session.wait(timeout=10) == -15
    assert (run / "keys").read_text() == "NEW KEY\n"
    guest.write(children, "")
    renewed(guest)  # nobody is connected


def test_sshd_that_waits_goes_on_when_its_key_is_there(
    guest: ScratchGuest, processes: list[subprocess.Popen[bytes]]
) -> None:
    run = guest.root / "run/banger"
    guest.write("run/banger/sshd_config.whole", "HostKey KEY\nUsePAM yes\n")
    guest.write("run/banger/sshd_config.rest", "HostKey KEY\n")
    os.mkfifo(run / "sshd_config")
    reads = (
        f"cat {run}/sshd_config >{run}/read; cp {run}/host_key {run}/keys; echo $$ >{run}/sshd.pid"
    )
    processes.append(subprocess.Popen(["sh", "-c", reads]))
    renewed(guest, template="yes")
    assert guest.read("run/banger/keys") == "NEW KEY\n"
    assert guest.read("run/banger/read") == "HostKey KEY\n"
    # A copy may be copied at once, and its sshd be started again.
    assert not (run / "sshd_config.whole").exists()
    assert (run / "sshd_config").is_file()
    assert guest.read("run/banger/sshd_config") == "HostKey KEY\nUsePAM yes\n"


def test_sshd_that_has_gone_on_is_not_waited_for_where_a_copy_is_renewed_again(
    guest: ScratchGuest,
) -> None:
    run = guest.root / "run/banger"
    guest.write("run/banger/sshd_config.rest", "HostKey KEY\n")
    guest.write("run/banger/sshd_config.whole", "HostKey KEY\n")
    os.mkfifo(run / "sshd_config")  # which nobody opens any more
    guest.write("run/banger/sshd.pid", "4242\n")
    renewed(guest, template="yes")


@pytest.mark.parametrize("template", ["", "yes"])
def test_the_journal_goes_on_under_the_new_machine_id(
    guest: ScratchGuest, processes: list[subprocess.Popen[bytes]], template: str
) -> None:
    guest.write("run/systemd/system/unit", "")
    guest.write("var/log/journal/" + "1" * 32 + "/system.journal", "entries")
    journald = subprocess.Popen(["sleep", "60"])
    processes.append(journald)
    group = "sys/fs/cgroup/system.slice/systemd-journald.service/cgroup.procs"
    guest.write(group, f"{journald.pid}\n")
    renewed(guest, template=template)
    assert journald.wait(timeout=20) == -15  # systemd starts it again
    logs = guest.root / "var/log/journal"
    kept = [] if template else ["2" * 32]
    assert [each.name for each in logs.iterdir()] == kept
    udev = [guest.root / f"sys/class/net/{name}/uevent" for name in ("eth0", "eth1")]
    eventually(lambda: all(each.read_text() == "change\n" for each in udev))
    assert guest.read("sys/class/net/br0/uevent") == ""


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            "run/initramfs/bin/adjust",
            "cannot renew the random pool, the clock and the devices' addresses (error 127)",
        ),
        ("sys/class/net/eth0/device", "there is no network device 02:00:00:00:00:01"),
        ("etc/machine-id", "cannot write /etc/machine-id"),
    ],
)
def test_what_cannot_be_renewed_is_said_and_nothing_goes_on(
    guest: ScratchGuest, broken: str, words: str
) -> None:
    (guest.root / broken).rename(guest.root / "away")
    (guest.root / broken).mkdir()
    if broken.endswith("device"):
        (guest.root / broken).rmdir()
    done = guest.run("renew", b"MESSAGE", identity=AFTER, boot_id=BOOT, template="", **KEYS)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == words
