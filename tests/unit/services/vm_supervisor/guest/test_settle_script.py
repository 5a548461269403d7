"""guest/rootfs/settle in a scratch root: what is done once for all copies of a template."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted.scratch_guest import ScratchGuest
from tests.waiting import eventually

IDENTITY = "hostname=0123456789ab\n"
CONFIGURATION = """# See sshd_config(5).
HostKey /run/banger/host_key

AcceptEnv *
UsePAM yes
Subsystem sftp internal-sftp
MaxStartups 100:30:200
"""
BOOT = "4b9ee2b5-26a2-4b3c-9a6c-1f5b0c6a4a11"


@pytest.fixture
def sshd() -> Iterator["list[subprocess.Popen[bytes]]"]:
    """The listener, and a session of its own."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture
def guest(tmp_path: Path, sshd: "list[subprocess.Popen[bytes]]") -> ScratchGuest:
    guest = ScratchGuest(tmp_path, IDENTITY)
    listener, session = (process.pid for process in sshd)
    guest.write("run/banger/sshd.pid", f"{listener}\n")
    guest.write("run/banger/sshd_config", CONFIGURATION)
    guest.write(f"proc/{listener}/task/{listener}/children", f"{session} ")
    guest.write("proc/sys/kernel/random/boot_id", f"{BOOT}\n")
    # What was started in its place, before it reads its configuration.
    guest.write(
        "proc/4242/cmdline", f"/run/banger-sshd\0-r\0-f\0{tmp_path}/run/banger/sshd_config\0"
    )
    guest.write("proc/4242/wchan", "wait_for_partner")
    return guest


def settled(guest: ScratchGuest) -> None:
    done = guest.run("settle")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sshd_ends_with_its_sessions_and_the_next_one_waits_for_its_configuration(
    guest: ScratchGuest, sshd: "list[subprocess.Popen[bytes]]"
) -> None:
    settled(guest)
    assert [process.wait(timeout=10) for process in sshd] == [-15, -15]
    assert stat.S_ISFIFO((guest.root / "run/banger/sshd_config").stat().st_mode)
    assert guest.read("run/banger/sshd.pid") == ""


def test_sshd_is_told_twice_only_what_may_be_said_twice(guest: ScratchGuest) -> None:
    settled(guest)
    assert guest.read("run/banger/sshd_config.whole") == CONFIGURATION
    early = guest.read("run/banger/sshd_config.options").splitlines()
    late = guest.read("run/banger/sshd_config.rest").splitlines()
    assert early == ["UsePAM yes", "MaxStartups 100:30:200"]
    assert late == [
        "HostKey /run/banger/host_key",
        "AcceptEnv *",
        "Subsystem sftp internal-sftp",
    ]


def test_sshd_that_is_held_has_its_options_and_stays_in_one_process(guest: ScratchGuest) -> None:
    settled(guest)
    sshd = guest.write(
        "run/initramfs/bin/banger-sshd",
        f'#!/bin/sh\nprintf "%s|" "$@" >{guest.root}/arguments\n'
        f"/bin/cat {guest.root}/run/banger/sshd_config\n",
    )
    sshd.chmod(0o755)
    done = guest.run("daemons", arguments=("sshd",))
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: (guest.root / "arguments").exists())
    pid = int(eventually(lambda: guest.read("run/banger/sshd.pid")))
    pipe = guest.root / "run/banger/sshd_config"
    options = "-o|UsePAM yes|-o|MaxStartups 100:30:200|"
    assert guest.read("arguments") == f"-r|-D|-f|{pipe}|{options}"
    assert Path(f"/proc/{pid}").exists()
    pipe.write_text("")
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_the_boot_id_is_a_file_of_its_own(guest: ScratchGuest) -> None:
    settled(guest)
    assert guest.read("run/banger/boot_id") == f"{BOOT}\n"
    mounted = "mount --bind /run/banger/boot_id /proc/sys/kernel/random/boot_id"
    assert guest.noted == [mounted, "fstrim /root"]


def test_nothing_is_left_of_the_session_that_prepared_it(guest: ScratchGuest) -> None:
    for path in ("run/utmp", "var/log/wtmp", "tmp/ssh-XXXX/agent.1", "tmp/kept"):
        guest.write(path, "before")
    settled(guest)
    assert guest.read("run/utmp") == guest.read("var/log/wtmp") == ""
    assert not (guest.root / "tmp/ssh-XXXX").exists()
    assert guest.read("tmp/kept") == "before"


def test_a_guest_without_sshd_is_no_template(guest: ScratchGuest) -> None:
    guest.write("run/banger/sshd.pid", "")
    done = guest.run("settle")
    assert (done.returncode, done.stderr) == (1, "sshd does not run\n")
