"""A real guest that nobody uses falls asleep, stays awake for work, and wakes for whoever comes."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import loopback
from tests.echo import echoed
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVER = r"""
use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
    next if fork;
    while (sysread($c, $b, 65536)) {
        for ($o = 0; $o < length $b;) { $o += syswrite($c, $b, length($b) - $o, $o) or exit }
    }
    exit;
}
"""
AWAKE = "systemd-inhibit --what=sleep --who=nightly sleep 1000"


@pytest.fixture(scope="module")
def shared_home(images: None) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), "idle_cpu = 25.0\n" + loopback.configuration())
        yield home
        close_home(home)


def show(home: Home) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", "web", "-o", "json").stdout)
    return shown


def run(home: Home, *argv: str) -> str:
    return home.banger("vm", "exec", "web", "--", *argv).stdout


def begin(home: Home, *argv: str) -> None:
    """Run a program in the guest that outlives the session."""
    script = 'setsid "$@" </dev/null >/dev/null 2>&1 &'
    run(home, "sh", "-c", script, "sh", *argv)


def keep_awake(home: Home) -> str:
    return str(show(home)["awake"])


def falls_asleep(home: Home) -> None:
    eventually(lambda: show(home)["state"] == "suspended", patience=60)
    shown = show(home)
    assert (shown["wakes"], shown["pid"]) == (True, None)


def test_a_guest_sleeps_when_nobody_uses_it_and_wakes_for_everybody(home: Home) -> None:
    home.banger(
        *("vm", "run", "-d", "--name", "web", "--memory", "384M", "--vcpu", "1"),
        *("--wait", "system", "--idle-suspend", "8s"),
        timeout=120,
    )
    begin(home, "perl", "-e", SERVER)
    eventually(lambda: "tcp/8000" in show(home)["ports"], patience=30)

    begin(home, "sh", "-c", "while :; do :; done")
    eventually(lambda: keep_awake(home).startswith("its processor is busy"), patience=60)
    begin(home, *AWAKE.split())
    eventually(lambda: keep_awake(home) == "nightly (systemd-inhibit)", patience=30)
    assert show(home)["state"] == "running"
    run(home, "pkill", "-f", "while :|sleep 1000")
    boot = run(home, "cat", "/proc/sys/kernel/random/boot_id")
    before = show(home)

    falls_asleep(home)
    place = before["address"], before["ports"]["tcp/8000"]
    payload = os.urandom(300_000)
    assert echoed(place, payload, seconds=60) == payload
    eventually(lambda: show(home)["state"] == "running", patience=30)
    assert show(home)["ports"] == before["ports"]

    falls_asleep(home)
    access = before["access"]
    options = {
        "UserKnownHostsFile": access["known_hosts"],
        "HostKeyAlias": access["alias"],
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    ssh = ["ssh", "-F", "/dev/null", "-i", access["key"], "-p", str(access["port"])]
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    plain = [*ssh, *words, f"root@{access['host']}", "cat", "/proc/sys/kernel/random/boot_id"]
    said = subprocess.run(plain, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (0, boot), said.stderr

    falls_asleep(home)
    woken = home.banger("vm", "exec", "web", "--", "date", "+%s")
    assert "web was asleep" in woken.stderr
    assert abs(int(woken.stdout) - time.time()) < 5
    home.banger("vm", "delete", "web")
