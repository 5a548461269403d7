"""Whether copies of one guest are machines of their own, seen from inside of them.

    assert_own_machines(home, "one", "two")

takes two running VMs whose image has systemd and openssl, as the default one does.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.home import Home

CLOCK_SECONDS = 0.05
"""How far a guest's clock may be from the host's."""
_QUESTIONS = 20
_OWN = {
    "machine id": "cat /etc/machine-id",
    "machine id of the bus": "cat /var/lib/dbus/machine-id 2>/dev/null || cat /etc/machine-id",
    "boot id": "cat /proc/sys/kernel/random/boot_id",
    "hostname": "hostname",
    "name in /etc/hostname": "cat /etc/hostname",
    "name in /etc/hosts": "grep 127.0.1.1 /etc/hosts",
    "host key": "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | cut -d' ' -f3",
    "addresses of devices": "cat /sys/class/net/eth*/address",
    "link-local addresses": "cut -c1-32 /proc/net/if_inet6 | grep ^fe80",
    "openssl": "openssl rand -hex 32",
    "getrandom": "head -c 32 /dev/urandom | od -An -tx1",
    "uuid": "cat /proc/sys/kernel/random/uuid",
}
"""What no two machines have in common → the command that prints it. Lines are compared."""


class Clock(NamedTuple):
    """By how much a guest's clock is behind, in seconds, and the error of that."""

    lag: float
    error: float


def assert_own_machines(home: Home, first: str, second: str) -> None:
    """Compare two VMs in all that no two machines have in common, and look at each by itself."""
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda name: own_facts(home, name), (first, second)))
        list(
            threads.map(lambda name: assert_certificate_of_today_valid(home, name), (first, second))
        )
    shared = {
        fact: sorted(common)
        for fact in _OWN
        if (common := set(answers[0][fact]) & set(answers[1][fact])) or not answers[0][fact]
    }
    assert shared == {}
    for name, facts in zip((first, second), answers, strict=True):
        assert facts["hostname"] == facts["name in /etc/hostname"] == [name]
        assert facts["name in /etc/hosts"] == [f"127.0.1.1 {name}.vm {name}"]
        assert facts["machine id of the bus"] == facts["machine id"]
        assert_clock_right(home, name)


def own_facts(home: Home, name: str) -> dict[str, list[str]]:
    """Fact → its lines, all asked in one session."""
    script = "".join(f"{command}; echo --\n" for command in _OWN.values())
    shown = home.banger("vm", "exec", name, "--", "sh", "-c", script).stdout
    parts = shown.split("--\n")
    return {fact: part.split("\n")[:-1] for fact, part in zip(_OWN, parts, strict=False)}


def assert_clock_right(home: Home, name: str) -> None:
    clock = clock_of(home, name)
    assert abs(clock.lag) <= CLOCK_SECONDS + clock.error, clock


def clock_of(home: Home, name: str) -> Clock:
    """Ask for the time again and again in one session; the quickest answer has the least error."""
    script = "while read -r _; do date +%s.%N; done"
    session = subprocess.Popen(
        home.argv("vm", "exec", name, "--", "sh", "-c", script), env=home.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert session.stdin
    assert session.stdout
    answers = []
    for _ in range(_QUESTIONS):
        asked = time.time()
        session.stdin.write(b"\n")
        guest = float(session.stdout.readline())
        error = (time.time() - asked) / 2
        answers.append(Clock(asked + error - guest, error))
    session.stdin.close()
    assert session.wait(timeout=30) == 0
    session.stdout.close()
    return min(answers, key=lambda each: each.error)


def assert_certificate_of_today_valid(home: Home, name: str) -> None:
    """A certificate that the host makes now, and that is good for one day: in a guest that is a
    month behind it is not valid yet."""
    argv = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "/dev/null"]
    made = subprocess.run(
        [*argv, "-subj", "/CN=today", "-days", "1"], capture_output=True, check=True, timeout=30
    )
    # The check can fail: the same certificate is not valid a month ago.
    before = int((datetime.now(UTC) - timedelta(days=31)).timestamp())
    script = (
        "cd /tmp && cat >today.pem && openssl verify -CAfile today.pem today.pem;"
        f"openssl verify -attime {before} -CAfile today.pem today.pem || echo refused"
    )
    shown = home.banger("vm", "exec", name, "--", "sh", "-c", script, stdin=made.stdout).stdout
    assert shown.startswith("today.pem: OK\n")
    assert shown.endswith("refused\n")
