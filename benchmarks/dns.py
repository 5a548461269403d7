"""Ten thousand questions a second to dns, and to dnsmasq with the same names: latency and work.

Both serve 100 names on loopback, each alone on the last processor, in turn (A B A B …). A
question's clock starts when it is due, not when it was sent, so a generator that falls behind makes
the figure worse and not better; what is never answered counts as infinitely late.
"""

import contextlib
import math
import os
import pwd
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.measure import Figure, NotHere, median
from benchmarks.harness.product import free_port, only
from tests.waiting import eventually

RATE = 10_000
"""Questions a second."""

SECONDS, ROUNDS = 3.0, 5
NAMES = 100
LAST_WAIT = 0.2
"""Seconds that answers to the last questions may take."""

_HEADER = struct.Struct("!HHHHHH")
_TAIL = struct.pack("!HH", 1, 1)


@dataclass
class Round:
    """Latencies in ms, sorted, infinite where no answer came; ``work`` in microseconds of the
    server's processor time for each answer; ``behind``: how late each question was sent, in ms."""

    latencies: list[float]
    work: float
    behind: list[float]


def percentile(values: list[float], share: float) -> float:
    """Of sorted ``values``."""
    return values[math.ceil(len(values) * share) - 1]


@dataclass
class Server:
    """A server under load: where it listens and its process."""

    port: int
    pid: int
    rounds: list[Round] = field(default_factory=list)

    def measure(self, length: float) -> None:
        """One round of ``length`` seconds."""
        before = processor_seconds(self.pid)
        latencies, behind = load(self.port, length)
        answered = sum(map(math.isfinite, latencies))
        work = (processor_seconds(self.pid) - before) / max(1, answered) * 1e6
        self.rounds.append(Round(sorted(latencies), work, sorted(behind)))

    def latency(self, share: float) -> float:
        return median([percentile(each.latencies, share) for each in self.rounds])

    def said(self) -> str:
        """What a figure does not say: losses, and whether the generator was the bottleneck."""
        lost = [each.latencies.count(math.inf) for each in self.rounds]
        behind = median([percentile(each.behind, 0.99) for each in self.rounds])
        return f"lost {lost} of {len(self.rounds[0].latencies)}, sent {behind:.2g} ms late at p99"

    def work(self) -> float:
        return median([each.work for each in self.rounds])


def figures(*, smoke: bool) -> list[Figure]:
    rounds, length = (1, 0.2) if smoke else (ROUNDS, SECONDS)
    with our_server() as ours, dnsmasq() as peer, generator_apart(ours, peer):
        for _ in range(rounds):
            ours.measure(length)
            peer.measure(length)
    sys.stderr.write(f"dns: {ours.said()}\ndnsmasq: {peer.said()}\n")
    against = ("dnsmasq", rounds)
    (usual, its_usual), (slow, its_slow) = (
        (ours.latency(share), peer.latency(share)) for share in (0.5, 0.99)
    )
    name = f"dns at {RATE} questions/s,"
    return [
        Figure(f"{name} median", "ms", usual, its_usual, *against, bar=4.0),
        Figure(f"{name} 99th percentile", "ms", slow, its_slow, *against, limit=5.0),
        Figure(f"{name} CPU each", "us", ours.work(), peer.work(), *against, bar=4.0),
    ]


def host(number: int) -> tuple[str, str]:
    """The name without ``.vm`` and the address of one of the names."""
    return f"bench-{number}", f"127.77.9.{number + 2}"


@contextlib.contextmanager
def our_server() -> Iterator[Server]:
    """dns, with running VMs in the store that have the names."""
    port = free_port()
    with only("broker", "store", "dns", config=f"[dns]\nport = {port}\n") as stack:
        for number in range(NAMES):
            vm_id = f"{number:012x}"
            stack.reserve(vm_id, host(number)[0])
            stack.call("store", "vm.update", id=vm_id, state="running")
        eventually(lambda: stack.call("dns", "dns.status")["names"] == NAMES)
        services = stack.call("broker", "broker.services")["services"]
        pid = next(int(each["pid"]) for each in services if each["name"] == "dns")
        yield Server(port, pid)


@contextlib.contextmanager
def dnsmasq() -> Iterator[Server]:
    """The peer, with the same names in a hosts file."""
    program = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise NotHere("dnsmasq is not installed (apt-get install dnsmasq-base)")
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        hosts = Path(directory) / "hosts"
        lines = [f"{address} {name}.vm\n" for name, address in map(host, range(NAMES))]
        hosts.write_text("".join(lines))
        Path(directory).chmod(0o755)
        user = pwd.getpwuid(os.getuid()).pw_name
        options = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts")
        place = (f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces")
        rest = (f"--addn-hosts={hosts}", "--local=/vm/", f"--user={user}", "--pid-file=")
        with subprocess.Popen([program, *options, *place, *rest]) as process:
            try:
                eventually(lambda: answers(port))
                yield Server(port, process.pid)
            finally:
                process.terminate()


def answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        try:
            client.send(_HEADER.pack(1, 0x0100, 1, 0, 0, 0) + questions()[0])
            return bool(client.recv(512))
        except OSError:
            return False


def questions() -> list[bytes]:
    """Of type A, without the header, one for each name."""
    names = (host(number)[0].encode() for number in range(NAMES))
    return [bytes([len(name)]) + name + b"\x02vm\0" + _TAIL for name in names]


@contextlib.contextmanager
def generator_apart(*servers: Server) -> Iterator[None]:
    """Servers on the last processor, ourselves on the others, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        for server in servers:
            os.sched_setaffinity(server.pid, cpus[-1:])
        os.sched_setaffinity(0, cpus[:-1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def processor_seconds(pid: int) -> float:
    """What the process has used, in all its threads: clock_getcpuclockid(3), as Linux encodes it,
    since Python has it for threads only."""
    return time.clock_gettime(~pid << 3 | 2)


def load(port: int, length: float) -> tuple[list[float], list[float]]:
    """Of each question, at ``RATE`` a second for ``length`` seconds: its latency in ms, infinite
    where no answer came, and how late it was sent."""
    asked = questions()
    packets = [_HEADER.pack(0, 0x0100, 1, 0, 0, 0)[2:] + question for question in asked]
    total = int(RATE * length)
    latencies, behind = [math.inf] * total, [0.0] * total
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        sent, started = 0, time.perf_counter()
        while (now := time.perf_counter() - started) < length + LAST_WAIT:
            for number in range(sent, min(total, int(now * RATE) + 1)):
                client.send((number & 0xFFFF).to_bytes(2) + packets[number % NAMES])
                behind[number] = (time.perf_counter() - started - number / RATE) * 1000
                sent = number + 1
            _receive(client, latencies, sent, started)
            wait = sent / RATE - (time.perf_counter() - started) if sent < total else LAST_WAIT
            select.select([client], [], [], max(0.0, wait))
    return latencies, behind


def _receive(client: socket.socket, latencies: list[float], sent: int, started: float) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            number = int.from_bytes(client.recv(512)[:2])
            number += (sent - 1 - number) // 0x10000 * 0x10000  # the id is its lower 16 bits
            due = started + number / RATE
            latencies[number] = (time.perf_counter() - due) * 1000
