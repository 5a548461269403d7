"""Commands in a running guest: streams, statuses, signals, terminals, ports."""

import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from shared.vm.known_hosts import pinned
from tests.home import Home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HUNDRED_MEGABYTES = 100 * 1000 * 1000


@pytest.mark.parametrize("status", [0, 1, 42, 127, 255])
def test_the_exit_status_is_the_guest_commands_own(shared_home: Home, vm: str, status: int) -> None:
    done = shared_home.banger("vm", "exec", vm, "--", "sh", "-c", f"exit {status}", check=False)
    assert done.returncode == status


def test_a_command_killed_by_a_signal_gives_128_plus_its_number(shared_home: Home, vm: str) -> None:
    done = shared_home.banger("vm", "exec", vm, "--", "sh", "-c", "kill -KILL $$", check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_stdout_and_stderr_stay_apart(shared_home: Home, vm: str) -> None:
    done = shared_home.banger("vm", "exec", vm, "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_arguments_arrive_as_they_were_given(shared_home: Home, vm: str) -> None:
    words = ["a b", "'", '"', "$HOME", "*", "", "ä\n"]
    done = shared_home.banger("vm", "exec", vm, "--", "printf", "%s|", *words)
    assert done.stdout == "".join(f"{word}|" for word in words)


def test_environment_and_directory(shared_home: Home, vm: str) -> None:
    done = shared_home.banger(
        "vm", "exec", vm, "-w", "/etc", "-e", "A=x y", "--", "sh", "-c", 'echo "$A"; pwd'
    )
    assert done.stdout == "x y\n/etc\n"


def test_a_hundred_megabytes_arrive_intact_both_ways(shared_home: Home, vm: str) -> None:
    process = shared_home.start("vm", "exec", vm, "--", "cat", stdin=subprocess.PIPE)
    sent, received = hashlib.sha256(), hashlib.sha256()
    block = os.urandom(1000 * 1000)

    def feed() -> None:
        assert process.stdin
        for number in range(HUNDRED_MEGABYTES // len(block)):
            piece = number.to_bytes(8, "big") + block[8:]
            sent.update(piece)
            process.stdin.write(piece)
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert process.stdout
    assert process.stderr
    total = 0
    while piece := process.stdout.read(1 << 20):
        received.update(piece)
        total += len(piece)
    feeder.join()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    process.stderr.close()
    assert total == HUNDRED_MEGABYTES
    assert received.digest() == sent.digest()


def test_a_tree_goes_in_and_comes_out_with_all_that_it_has(
    shared_home: Home, vm: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below/script").write_bytes(os.urandom(100_000))
    (tree / "below/script").chmod(0o751)
    os.utime(tree / "below/script", ns=(1, 1_600_000_000_123_456_789))
    (tree / "link").symlink_to("/no/where")
    with (tree / "holes").open("wb") as holes:
        holes.truncate(64 << 20)
    shared_home.banger("vm", "cp", str(tree), f"{vm}:")
    look = "cd tree; stat -c '%A %U %.9Y' below/script; readlink link; stat -c %b holes"
    looked = shared_home.banger("vm", "exec", vm, "-w", "/root", "--", "sh", "-c", look).stdout
    assert looked.splitlines() == ["-rwxr-x--x root 1600000000.123456789", "/no/where", "0"]
    shared_home.banger("vm", "cp", f"{vm}:tree/.", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "below/script").read_bytes() == (tree / "below/script").read_bytes()
    assert (back / "below/script").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (back / "link").is_symlink()
    assert (back / "holes").stat().st_blocks == 0
    refused = shared_home.banger("vm", "cp", str(tree), f"{vm}:/proc/x", "-o", "json", check=False)
    assert json.loads(refused.stderr)["error"]["code"] == "not_found"
    full = shared_home.banger(
        "vm", "cp", str(tree / "below/script"), f"{vm}:/dev/full", "-o", "json", check=False
    )
    assert json.loads(full.stderr)["error"]["code"] == "no_space"
    as_nobody = ("vm", "cp", "-u", "nobody", str(tree / "below/script"), "-o", "json")
    denied = shared_home.banger(*as_nobody, f"{vm}:/root/x", check=False)
    assert json.loads(denied.stderr)["error"]["code"] == "denied"
    shared_home.banger(*as_nobody, f"{vm}:/tmp/by-nobody")
    owner = shared_home.banger("vm", "exec", vm, "--", "stat", "-c", "%U", "/tmp/by-nobody").stdout
    assert owner == "nobody\n"


def test_start_up_files_of_the_login_shell_do_not_matter(shared_home: Home, vm: str) -> None:
    """Debian's bash reads ~/.bashrc when sshd has started it."""
    spoil = "cp .bashrc kept; sed -i '1i echo hello; exit 3' .bashrc"
    shared_home.banger("vm", "exec", vm, "--", "sh", "-c", spoil)
    done = shared_home.banger("vm", "exec", vm, "--", "sh", "-c", "echo here; exit 42", check=False)
    assert (done.returncode, done.stdout) == (42, "here\n")
    shared_home.banger("vm", "exec", vm, "--", "mv", "kept", ".bashrc")


def test_a_command_as_another_user_has_its_login_environment(shared_home: Home, vm: str) -> None:
    add = ("useradd", "-m", "-s", "/bin/bash", "-G", "video", "bob")
    shared_home.banger("vm", "exec", vm, "--", *add)
    script = 'id -un; id -Gn; echo "$HOME $USER $LOGNAME $SHELL $A"; pwd; kill -TERM $$'
    done = shared_home.banger(
        "vm", "exec", "-u", "bob", "-e", "A=1", vm, "--", "sh", "-c", script, check=False
    )
    assert done.stdout == "bob\nbob video\n/home/bob bob bob /bin/bash 1\n/home/bob\n"
    assert done.returncode == 128 + signal.SIGTERM
    unknown = shared_home.banger("vm", "exec", "-u", "eve", vm, "--", "true", check=False)
    assert (unknown.returncode, unknown.stderr) == (3, "error: the guest has no user 'eve'\n")


def test_a_command_ends_with_its_client_but_a_daemon_goes_on(shared_home: Home, vm: str) -> None:
    daemon = "echo ready; exec sleep 9991 >/dev/null 2>&1 </dev/null"
    script = f"setsid sh -c '{daemon}' & sleep 9992"
    with shared_home.start("vm", "exec", vm, "--", "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait(timeout=30)

    def sleeping() -> str:
        find = ("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -ao 'sleep 999[12]'")
        return shared_home.banger("vm", "exec", vm, "--", *find, check=False).stdout

    eventually(lambda: sleeping() == "sleep 9991\n", patience=60)
    shared_home.banger("vm", "exec", vm, "--", "pkill", "-f", "^sleep 9991")


def test_ctrl_c_reaches_the_guests_command(shared_home: Home, vm: str) -> None:
    script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'
    with shared_home.start("vm", "exec", vm, "--", "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait(timeout=30) == 9


def test_a_terminal_has_our_size_and_follows_it(shared_home: Home, vm: str) -> None:
    ours, theirs = pty.openpty()
    _resize(theirs, 41, 123)
    script = 'trap "stty size; exit" WINCH; stty size; while :; do sleep 0.1; done'
    process = subprocess.Popen(
        shared_home.argv("vm", "exec", vm, "--", "sh", "-c", script),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=shared_home.environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    terminal = os.fdopen(ours, "rb", buffering=0)
    assert terminal.readline() == b"41 123\r\n"
    _resize(ours, 50, 99)
    os.killpg(process.pid, signal.SIGWINCH)
    assert terminal.readline() == b"50 99\r\n"
    assert process.wait(timeout=30) == 0
    terminal.close()


def _resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


SERVER = r"""
use IO::Socket::INET;
$s = IO::Socket::INET->new(LocalPort => 3000, Listen => 5, ReuseAddr => 1) or die;
while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\r\n\r\nfrom the guest"; close $c; }
"""


def test_a_listening_port_appears_on_the_vms_address_and_goes(shared_home: Home, vm: str) -> None:
    with shared_home.start("vm", "exec", vm, "--", "perl", "-e", SERVER) as server:
        eventually(lambda: "tcp/3000" in _show(shared_home, vm)["ports"], patience=60)
        shown = _show(shared_home, vm)
        url = f"http://{shown['address']}:{shown['ports']['tcp/3000']}/"
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.read() == b"from the guest"
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
    eventually(lambda: "tcp/3000" not in _show(shared_home, vm)["ports"], patience=60)


def _show(home: Home, vm: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", vm, "-o", "json").stdout)
    return shown


def test_the_guest_has_no_outside_without_nat(shared_home: Home, vm: str) -> None:
    probe = "exec 3<>/dev/tcp/10.0.2.2/22"
    done = shared_home.banger("vm", "exec", vm, "--", "timeout", "5", "bash", "-c", probe,
                              check=False)  # fmt: skip
    assert done.returncode != 0


def test_a_rename_reaches_the_guest_and_its_pin(shared_home: Home, vm: str) -> None:
    for old, new in ((vm, "renamed"), ("renamed", vm)):
        assert shared_home.banger("vm", "rename", old, new, "-o", "name").stdout == f"{new}\n"
        assert shared_home.banger("vm", "exec", new, "--", "hostname").stdout == f"{new}\n"
        hosts = shared_home.banger("vm", "exec", new, "--", "getent", "hosts", new).stdout
        assert f"{new}.vm" in hosts
        assert pinned(shared_home.paths.known_hosts, f"{new}.vm")
        assert not pinned(shared_home.paths.known_hosts, f"{old}.vm")


MACHINE = """
until [ -S /run/systemd/private ]; do sleep 0.1; done
systemctl is-system-running --wait
mv /usr/share/debianutils /usr/share/renamed && ls -d /usr/share/renamed
cd /var/lib/containers && mkdir lower upper work merged
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && echo mounted
ulimit -Hn
echo "$LANG"
"""
"""What a guest is asked as a machine one works in. Its answers: FINE."""
FINE = """running
/usr/share/renamed
mounted
524288
C.UTF-8
"""


def test_the_guest_is_a_machine_one_works_in(shared_home: Home, vm: str) -> None:
    assert shared_home.banger("vm", "exec", vm, "--", "sh", "-c", MACHINE).stdout == FINE


def test_sshd_and_agent_that_were_killed_come_back_as_their_units(
    shared_home: Home, vm: str
) -> None:
    shared_home.banger("vm", "exec", vm, "--", "pkill", "qemu-ga")
    shared_home.banger("vm", "exec", vm, "--", "pkill", "sshd", check=False)  # the session's too
    active = ("systemctl", "is-active", "ssh", "qemu-guest-agent")

    def came_back() -> bool:
        done = shared_home.banger("vm", "exec", vm, "--", *active, check=False)
        return done.stdout == "active\nactive\n"

    eventually(came_back, patience=60)
