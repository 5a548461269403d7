"""A VM that is there at once: from the warm pool, from a template, or woken by a connection.

The first two are held against a boot of the same VM, in turn. Each run makes sure that its VM came
from where it was to come from.
"""

import contextlib
import json
import socket
from typing import Any

from benchmarks.harness.measure import Figure, medians, paired, seconds
from benchmarks.harness.product import installed
from tests import loopback
from tests.home import Home
from tests.waiting import eventually

RUNS = 7
COMMAND = ("vm", "run", "--rm", "--memory", "512M")
VM = "bench"
MADE_SECONDS = 240.0
"""What a template, or a VM of the pool, may take until it is there."""
SLEEP_SECONDS = 120.0
PORT = 3000
SERVER = f"""\
use IO::Socket::INET; $| = 1;
my $s = IO::Socket::INET->new(LocalPort => {PORT}, Listen => 8, ReuseAddr => 1) or die;
while (my $c = $s->accept) {{ print $c "here\\n"; close $c }}
"""
IDLE = "idle_cpu = 25.0\n"
"""An emulated guest at rest takes a tenth of a processor now and then."""
AT_ONCE = "[templates]\nquiet_seconds = 0\nmost_pressure = 100\n"
"""A template is made although a benchmark keeps the machine busy."""
NO_POOL = f"warm_pool = 0\n{IDLE}{AT_ONCE}"


def figures(*, smoke: bool) -> list[Figure]:
    runs = 1 if smoke else RUNS
    with installed(NO_POOL) as home, contextlib.ExitStack() as cleanup:
        cleanup.callback(home.banger, "vm", "delete", VM)
        place = _served(home)  # the boot after which a template is made, too
        eventually(lambda: _templates(home), patience=MADE_SECONDS, every=1.0)
        template, wake = _from_template(home, runs), _wake(home, place, runs)
        home.configure(loopback.configuration() + IDLE + AT_ONCE)
        home.banger("daemon", "restart")
        return [template, _from_pool(home, runs), wake]


def _served(home: Home) -> tuple[str, int]:
    """Make a VM that sleeps when it is not used; returns where a server of its guest is reached."""
    size = ("--memory", "512M", "--idle-suspend", "8s", "--wait", "system")
    home.banger("vm", "run", "-d", "--name", VM, *size)
    serve = f"setsid perl -e '{SERVER}' </dev/null >/dev/null 2>&1 &"
    home.banger("vm", "exec", VM, "--", "sh", "-c", serve)
    port = int(eventually(lambda: _show(home)["ports"].get(f"tcp/{PORT}"), patience=60))
    return str(_show(home)["address"]), port


def _from_template(home: Home, runs: int) -> Figure:
    measured, cold = paired(
        lambda: _run(home, "starting from template"), lambda: _run(home, "booting", "--cold"),
        runs=runs,
    )  # fmt: skip
    name = "vm run --rm -- true, from a template"
    return Figure(name, "s", measured, cold, "the same with --cold", runs, bar=0.3, limit=1.0)


def _from_pool(home: Home, runs: int) -> Figure:
    def a_vm_waits() -> None:
        eventually(lambda: _waiting(home), patience=MADE_SECONDS, every=0.5)

    _run(home, "starting from template")  # the pool is filled while VMs are made
    measured, cold = paired(
        lambda: _run(home, "taking a VM that is ready"),
        lambda: _run(home, "booting", "--cold"),
        runs=runs,
        before=a_vm_waits,
    )
    name = "vm run --rm -- true, from the pool"
    return Figure(name, "s", measured, cold, "the same with --cold", runs, limit=0.45)


def _wake(home: Home, place: tuple[str, int], runs: int) -> Figure:
    """Until the first byte of a server in a guest that sleeps, against a resume by command."""

    def asleep() -> None:
        eventually(lambda: _show(home)["state"] == "suspended", patience=SLEEP_SECONDS)

    pairs = []
    for _ in range(runs):
        asleep()
        first_byte = seconds(lambda: _first_byte(place))
        asleep()
        pairs.append((first_byte, seconds(lambda: home.banger("vm", "resume", VM))))
    measured, resumed = medians(pairs)
    name = "first byte of a VM that sleeps, 512 MiB"
    return Figure(name, "s", measured, resumed, "vm resume of the same VM", runs, limit=0.8)


def _run(home: Home, said: str, *options: str) -> None:
    done = home.banger(*COMMAND, *options, "--", "true")
    assert said in done.stderr, done.stderr


def _first_byte(place: tuple[str, int]) -> None:
    with socket.create_connection(place, timeout=SLEEP_SECONDS) as client:
        assert client.recv(1), "the guest closed the connection"


def _templates(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(home.banger("template", "list", "-o", "json").stdout)
    return found


def _waiting(home: Home) -> bool:
    return any(each["pool"] for each in _templates(home))


def _show(home: Home) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(home.banger("vm", "show", VM, "-o", "json").stdout)
    return shown
