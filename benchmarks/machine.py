"""One VM: how fast it is there, reached and gone, and what it costs.

The floor is the same QEMU command line, started by hand on files that are made beforehand, so that
its clock covers QEMU and the guest alone.
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness.by_hand import QemuByHand
from benchmarks.harness.copies import copies
from benchmarks.harness.measure import Figure, medians, paired, seconds
from benchmarks.harness.memory import idle_interpreter, proportional_set_size
from benchmarks.harness.product import installed, settle
from shared.host.locks import holder
from shared.vm import files
from tests.burst import BURST, SERVER, burst
from tests.home import Home
from tests.waiting import eventually

RUNS, STOPS = 7, 3
REST_SECONDS = 15.0
"""Between the time when the guest's systemd has settled and a figure of a guest at rest."""
STOCK_SSHD = 2200
"""The port in the guest of an sshd as Debian installs it."""
VM = "bench"

Rest = Callable[[], None]
"""Returns when the VM is at rest."""


def figures(*, smoke: bool) -> list[Figure]:
    runs, stops = (1, 1) if smoke else (RUNS, STOPS)
    with installed() as home, contextlib.ExitStack() as cleanup:
        home.banger("vm", "create", "--name", VM)
        cleanup.callback(home.banger, "vm", "delete", VM)
        by_hand = QemuByHand(home, VM)
        cleanup.callback(by_hand.close)

        def rest() -> None:
            if not smoke:
                settle(home, VM)
                time.sleep(REST_SECONDS)

        return [
            *_warm_exec(home, runs, rest),
            _burst(home, runs, rest),
            *copies(home, VM, smoke=smoke),
            _memory(home),
            _cold_run(home, by_hand, runs),
            _stop(home, by_hand, stops, rest),
        ]


def _cold_run(home: Home, by_hand: QemuByHand, runs: int) -> Figure:
    command = "vm run --rm -- true"
    measured, floor = paired(
        lambda: home.banger(*command.split()),
        by_hand.boot,
        runs=runs,
        warm_up=0 if runs == 1 else 1,
        before=by_hand.prepare,
    )
    against = "the same QEMU by hand until its agent answers"
    return Figure(f"{command}, cold", "s", measured, floor, against, runs, bar=1.25)


def _warm_exec(home: Home, runs: int, rest: Rest) -> list[Figure]:
    """Over the connection that the supervisor holds, against an ssh that makes its own: to the
    sshd that banger starts, which is made cheap, and to one as Debian installs it."""
    access = _show(home)["access"]
    pinned = [f"UserKnownHostsFile={access['known_hosts']}", f"HostKeyAlias={access['alias']}"]
    unpinned = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
    stock = _ssh(access, _start_stock_sshd(home), unpinned)
    cheap = _ssh(access, access["port"], pinned)
    rest()
    return [
        _exec(home, stock, "a fresh ssh to Debian's sshd", runs),
        _exec(home, cheap, "a fresh ssh to the sshd of banger", runs),
    ]


def _exec(home: Home, ssh: list[str], against: str, runs: int) -> Figure:
    measured, peer = paired(
        lambda: home.banger("vm", "exec", VM, "--", "true"),
        lambda: subprocess.run(ssh, check=True, stdin=subprocess.DEVNULL),
        runs=runs,
        warm_up=1,
    )
    return Figure("vm exec -- true, warm", "s", measured, peer, against, runs, bar=0.35)


def _ssh(access: dict[str, Any], port: int, options: list[str]) -> list[str]:
    return [
        *("ssh", "-F", "/dev/null", "-p", str(port), "-i", access["key"]),
        *(word for option in options for word in ("-o", option)),
        *("-o", "BatchMode=yes", f"root@{access['host']}", "true"),
    ]


def _start_stock_sshd(home: Home) -> int:
    """Returns the port of the host that reaches it."""
    script = (
        "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key;"
        "mkdir -p -m 700 /root/.ssh /run/sshd;"
        f"cp /run/banger/authorized_keys /root/.ssh/; /usr/sbin/sshd -p {STOCK_SSHD}"
    )
    home.banger("vm", "exec", VM, "--", "sh", "-c", script)
    return int(eventually(lambda: _show(home)["ports"].get(f"tcp/{STOCK_SSHD}"), patience=60))


def _burst(home: Home, runs: int, rest: Rest) -> Figure:
    """All at once against one after another, through a forward to a server in the guest."""
    with home.start("vm", "exec", VM, "--", "perl", "-e", SERVER) as server:
        assert server.stdout
        server.stdout.readline()
        port = int(eventually(lambda: _show(home)["ports"].get("tcp/3000"), patience=60))
        address = _show(home)["address"]
        rest()
        at_once, in_turn = paired(
            lambda: _answered(burst(address, port)),
            lambda: _answered(moment for _ in range(BURST) for moment in burst(address, port, 1)),
            runs=runs,
            warm_up=1,
        )
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
    name, against = f"{BURST} connections at once", "the same one after another"
    return Figure(name, "s", at_once, in_turn, against, runs, limit=1.0)


def _answered(moments: Iterable[float]) -> None:
    number = sum(1 for _ in moments)
    assert number == BURST, f"{number} of {BURST} connections were answered"


def _memory(home: Home) -> Figure:
    with idle_interpreter() as idle:
        supervisor = holder(home.paths.vm_state(_show(home)["id"]) / files.LOCK)
        assert supervisor
        measured, floor = map(proportional_set_size, (supervisor, idle))
    name, against = "supervisor of one VM, PSS", "an idle asyncio"
    return Figure(name, "MB", measured, floor, against, 1, limit=30.0)


def _stop(home: Home, by_hand: QemuByHand, stops: int, rest: Rest) -> Figure:
    """Both guests run when this begins."""
    pairs = []
    for number in range(stops):
        if number:
            by_hand.prepare()
            by_hand.boot()
            home.banger("vm", "start", VM)
        rest()
        pairs.append((seconds(lambda: home.banger("vm", "stop", VM)), seconds(by_hand.power_off)))
    measured, floor = medians(pairs)
    against = "the same QEMU by hand, powered off by its agent"
    return Figure("vm stop of an idle guest", "s", measured, floor, against, stops, limit=1.5)


def _show(home: Home) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", VM, "-o", "json").stdout)
    return shown
